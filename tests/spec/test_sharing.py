"""Sharing policies: the rule by channel, their configs, and what is refused."""

import json

import numpy as np
import pytest
from refusals import raises_naming
from roles import ROLES

from mdl_nas_mm.sharing import AllShared, AllSpecific, Mask, Sharing, read_policy


@pytest.mark.parametrize(
    'config',
    [
        None,
        'Sequential',
        dict(type='Mask', threshold='ratio'),
        dict(norm='AllSpecific', attn='AllShared', ffn=dict(type='Mask')),
        dict(ffn='AllSpecific'),
    ],
)
def test_config_round_trip(config):
    sharing = Sharing.from_config(config, ROLES)
    assert Sharing.from_config(json.loads(json.dumps(sharing.to_config())), ROLES) == sharing


def test_what_is_not_named_is_wholly_shared():
    sharing = Sharing.from_config(dict(norm='AllSpecific'), ROLES)
    assert sharing['norm'] == AllSpecific()
    assert sharing['attn'] == sharing['ffn'] == sharing['stem'] == AllShared()
    assert sharing.has_specific
    assert not Sharing.from_config(None, ROLES).has_specific
    # No config reaches what lies outside the blocks.
    assert Sharing.from_config('AllSpecific', ROLES)['stem'] == AllShared()


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        ('Masked', ("'Masked'", "'Mask'", "'Sequential'")),
        (dict(type='Mask', threshold='top'), ('threshold', "'top'", "'ratio'")),
        (dict(type='Mask', treshold='ratio'), ("'treshold'",)),
        (dict(norm=dict(threshold='ratio')), ("'type'",)),
        (dict(attention='Mask'), ("'attention'", "'attn'")),
        (dict(stem='AllSpecific'), ("'stem'", "'attn'")),
        (dict(norm='Shared'), ("'Shared'", "'AllShared'")),
    ],
)
def test_bad_configs_are_refused(config, named):
    with raises_naming(ValueError, *named):
        Sharing.from_config(config, ROLES)


def test_prefix_policies():
    for name, count in (('AllShared', 5), ('AllSpecific', 0), ('Sequential', 2)):
        shared = read_policy(name).shared_channels(0.4, 5, 3, None)
        assert shared.tolist() == [[j < count for j in range(5)]] * 3


def test_mask_by_score_looks_at_each_channel_alone():
    scores = np.array([0.1, 0.5, 0.7, 0.9, 0.4, 0.0, 0.6, 1.0], np.float32)
    shared = Mask().shared_channels(0.5, 3, 2, scores)
    # Two groups of four channels, of which the first three are in use.
    assert shared.tolist() == [[False, True, True], [False, False, True]]


def test_mask_by_ratio_shares_exactly_the_ratio_of_the_best_in_use():
    scores = np.array([0.1, 0.5, 0.7, 0.9, 0.4, 0.0, 0.6, 1.0], np.float32)
    policy = Mask('ratio')
    assert policy.shared_channels(0.5, 4, 2, scores).tolist() == [
        [False, False, True, True],
        [False, False, True, True],
    ]
    assert policy.shared_channels(0.34, 3, 2, scores).tolist() == [
        [False, False, True],
        [False, False, True],
    ]
    # Of equal scores the first is the better one.
    assert policy.shared_channels(0.5, 4, 1, np.zeros(4, np.float32)).tolist() == [
        [True, True, False, False]
    ]


@pytest.mark.parametrize('threshold', ['score', 'ratio'])
def test_scores_for_given_channels_share_just_these_at_any_ratio_that_fits(threshold):
    """By its threshold of scores the policy shares a score of 0 where the ratio is 0."""
    policy = Mask(threshold)
    rng = np.random.default_rng(0)
    for count in range(7):
        shared = np.zeros((2, 6), bool)
        for row in shared:
            row[rng.permutation(6)[:count]] = True
        scores = policy.scores_for(shared).astype(np.float32).reshape(-1)
        # That of ratios alone decides how many are shared, so only one ratio fits.
        for ratio in (0.0, 0.5, 1.0) if threshold == 'score' else (count / 6,):
            assert policy.shared_channels(ratio, 6, 2, scores).tolist() == shared.tolist()
