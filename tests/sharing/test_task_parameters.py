"""Parameters of one layer: their keys, which rows are shared, and what is refused."""

import pytest
import torch
from numerics.small_vit import TASKS
from refusals import raises_naming

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.sharing import Mask, TaskParameters, read_policy

PREFIXES = [read_policy(name) for name in ('AllShared', 'AllSpecific', 'Sequential')]
MASKS = [Mask(), Mask('ratio')]
RATIOS = (0.0, 0.1, 0.25, 0.3, 0.45, 0.5, 0.55, 0.9, 1.0)


@pytest.mark.parametrize('policy', MASKS, ids=['score', 'ratio'])
def test_mask_is_the_ledgers_mask(policy):
    """In single precision, with scores that are equal to each other or to the ratio."""
    generator = torch.Generator().manual_seed(0)
    for trial in range(50):
        scores = torch.rand(3, 8, generator=generator)
        if trial % 2:
            scores = (scores * 20).round() / 20
        for ratio in RATIOS:
            for channels in (1, 5, 8):
                ours = policy.mask(scores[:, :channels], ratio)
                ledgers = policy.shared_channels(ratio, channels, 3, scores.flatten().numpy())
                assert torch.equal(ours, torch.from_numpy(ledgers.copy()))


@pytest.mark.parametrize('policy', PREFIXES + MASKS, ids=str)
@pytest.mark.parametrize('ratio', RATIOS)
def test_shared_rows_are_those_that_the_rule_names(policy, ratio):
    """Shared weights are one, specific ones minus one; q, k and v are cut each by itself."""
    torch.manual_seed(0)
    layer = ElasticLinear(6, 8, policy, TASKS, groups=3)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name != 'score':
                parameter.fill_(-1 if 'specific' in name else 1)
    scores = layer.score.detach().numpy() if policy.has_scores else None
    for channels in (1, 5, 8):
        weight, bias = layer.take('a', channels, 4, ratio)
        assert weight.shape == (3 * channels, 4)
        rows = policy.shared_channels(ratio, channels, 3, scores).reshape(-1)
        expected = torch.from_numpy(rows * 2.0 - 1.0).float()
        assert torch.equal(bias, expected)
        assert torch.equal(weight, expected[:, None].expand_as(weight))


def test_keys_of_shared_weights_are_those_of_the_plain_layer():
    keys = {
        'AllShared': {'weight', 'bias'},
        'AllSpecific': set(),
        'Sequential': {'weight', 'bias'},
        'Mask': {'weight', 'bias', 'score'},
    }
    own = {f'specific.{task}.{leaf}' for task in TASKS for leaf in ('weight', 'bias')}
    for name, expected in keys.items():
        layer = ElasticLinear(4, 4, read_policy(name), TASKS)
        assert set(layer.state_dict()) == expected | (own if name != 'AllShared' else set())


@pytest.mark.parametrize('policy', PREFIXES[1:] + MASKS, ids=str)
def test_specific_weights_need_tasks(policy):
    with raises_naming(ValueError, repr(policy.type)):
        TaskParameters(dict(weight=(4,)), policy, ())
    layer = ElasticLinear(4, 4, policy, TASKS)
    for task in ('c', None):
        with raises_naming(ValueError, repr(task), "'a', 'b'"):
            layer(torch.zeros(1, 4), task, 4, 0.5)


def test_scores_come_from_the_seed_and_lie_in_the_unit_interval():
    def scores(seed):
        torch.manual_seed(seed)
        return ElasticLinear(4, 500, MASKS[0], TASKS, groups=3).score.detach()

    assert scores(1).shape == (1500,)
    assert torch.equal(scores(1), scores(1))
    assert not torch.equal(scores(1), scores(2))
    assert 0 <= scores(1).min() < 0.05 and 0.95 < scores(1).max() < 1
