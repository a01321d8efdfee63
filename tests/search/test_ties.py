"""Tasks with parts of their architectures in common: proposed, repaired and searched."""

import random

import pytest
from refusals import raises_naming
from search.conftest import each, find, smallest_of
from search.roots_once import HEAD, ROOT, RootsOnce, spaces_of

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import EvolutionSettings, ExactSelection, search, smallest_total
from mdl_nas_mm.search.ties import Ties
from mdl_nas_mm.spec import SearchSpace

TASKS = ('cls', 'det', 'seg')
SMALL = EvolutionSettings(population=12, generations=4, parents=4, crossovers=5, mutations=5)


@pytest.mark.parametrize(
    ('given', 'sets', 'groups'),
    [
        ([], (), (('cls',), ('det',), ('seg',))),
        ([('seg', 'cls')], (('cls', 'seg'),), (('cls', 'seg'), ('det',))),
        ([('seg', 'det'), ('det', 'cls')], (('cls', 'det', 'seg'),), (('cls', 'det', 'seg'),)),
        (
            [('det', 'seg'), ('det.head', 'seg.head')],
            (('det', 'seg'), ('det.head', 'seg.head')),
            (('cls',), ('det', 'seg')),
        ),
    ],
)
def test_sets_with_a_place_in_common_are_one(given, sets, groups):
    ties = Ties.of(TASKS, given)
    assert (ties.sets, ties.groups) == (sets, groups)


@pytest.mark.parametrize('slack', [0, 20, 10**6])
def test_some_tasks_have_one_architecture(space, make_ledger, proposed, slack):
    """Sampled, crossed, mutated and repaired ones; a small slack makes repairs necessary."""
    ledger = make_ledger(space, 'Sequential')
    budget = smallest_of(space, ledger, TASKS)[1] + slack
    score = each(lambda task, spec: random.Random(f'{task}{spec}').random())
    args = (space, TASKS, ledger, score, budget, SMALL, random.Random(0))
    result = find(*args, tied=[('seg', 'cls')])
    assert len(proposed) == len(set(proposed)) and result.best['cls'] == result.best['seg']
    for joint in proposed:
        space.check_joint(joint, TASKS)
        assert joint['cls'] == joint['seg'] and ledger.count(joint).total <= budget
    if slack == 10**6:
        assert any(joint['cls'] != joint['det'] for joint in proposed)


@pytest.mark.parametrize('slack', [0, 30, 10**6])
@pytest.mark.parametrize('heads', [(), (('det.head', 'seg.head'),)])
def test_one_backbone_with_a_head_each_or_heads_that_are_tied_too(proposed, slack, heads):
    """A shared encoder with decoders of its tasks; those of two tasks are alike."""
    spaces, cost = spaces_of(TASKS), RootsOnce()
    ties, weights = Ties.of(TASKS, [TASKS, *heads]), dict.fromkeys(TASKS, 1.0)
    budget = smallest_total(spaces, cost)[1] + slack
    score = each(lambda task, spec: random.Random(f'{task}{spec}').random())
    args = (spaces, cost, score, ExactSelection(cost, weights, ties), budget, SMALL)
    result = search(*args, random.Random(0), ties=ties)
    assert len(proposed) > (40 if slack == 10**6 else 0)
    for joint in (*proposed, result.best):
        for task, spec in joint.items():
            spaces[task].check(spec)
        assert len({spec.root for spec in joint.values()}) == 1
        assert cost.totals([joint])[0] <= budget
        own = [joint[task].part(f'{task}.head') for task in TASKS]
        assert not heads or own[1] == own[2]
    if slack == 10**6:
        of_heads = [{joint[t].part(f'{t}.head') for t in TASKS} for joint in proposed]
        assert max(map(len, of_heads)) == 3 - len(heads)


def test_ties_that_are_refused():
    narrow = SearchSpace.from_config(dict(ROOT, embed_dim=8), TRANSFORMER)
    spaces = {**spaces_of(TASKS), 'other': narrow.with_parts({'other.head': HEAD})}
    for given, named in (
        ([('cls', 'pose')], ("'pose'", "'cls.head'")),
        ([('cls', 'other')], ("'cls'", "'other'", 'choices')),
        ([('cls', 'cls.head')], ("'cls'", "'cls.head'")),
        ([('cls.head', 'det.head')], ("'cls.head'", "'det.head'", 'backbones')),
    ):
        with raises_naming(ValueError, 'search_cfg.tied', *named):
            Ties.of(tuple(spaces), given).check(spaces)
