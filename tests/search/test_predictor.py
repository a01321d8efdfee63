"""The predictor orders what it has not seen, is data in a file, and saves a search evaluations."""

import math
import random

import numpy as np
import pytest
import torch
from refusals import raises_naming
from scipy import stats
from search.conftest import each

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import (
    EvolutionSettings,
    ExactSelection,
    ParameterCost,
    Predictor,
    PredictorScore,
    search,
    select,
    smallest_total,
)
from mdl_nas_mm.search.encoding import Encoder
from mdl_nas_mm.search.evolution import new_proposer
from mdl_nas_mm.search.predictor import ScoreNetwork
from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.utils.rank_correlation import kendall, pearson, spearman

TASKS = ('cls', 'det')


def members(space):
    """All architectures of a small space, in the order in which they are found."""
    rng, found = random.Random(0), {}
    while len(found) < 684:
        found[space.sample(rng)] = None
    return list(found)


def known(task, spec) -> float:
    """A score that saturates in the size; one task minds what is shared of the first block."""
    (stage,) = spec.stages
    size = sum(b.num_heads**0.5 * (3 + b.mlp_ratio) for b in stage.blocks) * stage.embed_dim
    shared = stage.blocks[0].attn_share_ratio
    return 60 + 30 * float(np.tanh(size / 60)) - (4 if task == 'det' else 1) * shared


@pytest.fixture
def scored(space):
    """Some scores of each task."""
    specs = members(space)[:120]
    return {task: {spec: known(task, spec) for spec in specs} for task in TASKS}


def test_it_orders_what_it_has_not_seen(space, scored):
    predictor = Predictor.fit(scored, dict.fromkeys(TASKS, space))
    for task in TASKS:
        unseen = [spec for spec in members(space) if spec not in scored[task]]
        predicted = predictor([(task, spec) for spec in unseen])
        truth = [known(task, spec) for spec in unseen]
        assert stats.kendalltau(predicted, truth).statistic > 0.9
        assert predictor.held_out[task]['records'] == 120
        # Of the two Kendall's is the smaller where the order is nearly right.
        assert 0.85 < predictor.held_out[task]['kendall'] < predictor.held_out[task]['spearman']
        assert predictor.held_out[task]['spearman'] > 0.95


def test_noise_is_seen_as_noise(space, scored):
    """What cannot be predicted is not said to be, though the network may learn it by heart."""
    noise = np.random.default_rng(0)
    scores = {'cls': dict(zip(scored['cls'], noise.random(120)))}
    predictor = Predictor.fit(scores, dict(cls=space))
    assert abs(predictor.held_out['cls']['kendall']) < 0.2


def test_a_search_with_it_is_near_the_best_with_few_evaluations(space, make_ledger, tmp_path):
    """Within a hundredth of the range of S-Scores, by an eighth of all architectures."""
    cost = ParameterCost(make_ledger(space, 'Sequential'))
    spaces, weights = dict.fromkeys(TASKS, space), dict.fromkeys(TASKS, 1.0)
    budget = 2 * smallest_total(spaces, cost)[1]
    everything = {task: {spec: known(task, spec) for spec in members(space)} for task in TASKS}
    optimum = select(everything, cost, budget, weights).score
    values = [sum(everything[task][spec] for task in TASKS) for spec in members(space)]
    evaluated = []

    def evaluate(pairs):
        evaluated.extend(pairs)
        return each(known)(pairs)

    def sample(count, seed):
        settings = EvolutionSettings(population=count, crossovers=0, mutations=0)
        rng = random.Random(seed)
        return new_proposer(spaces, cost, budget, settings, rng).generation([])

    score = PredictorScore(evaluate, sample, spaces, tmp_path, samples=60)
    assert len(evaluated) == len(set(evaluated)) <= 120
    result = search(
        spaces,
        cost,
        score,
        ExactSelection(cost, weights),
        budget,
        EvolutionSettings(),
        random.Random(0),
    )
    true = sum(known(task, spec) for task, spec in result.best.items())
    assert optimum - true < 0.01 * (max(values) - min(values))
    assert (
        Predictor.load(tmp_path / 'predictor.safetensors').held_out == score.describe()['held_out']
    )
    again = PredictorScore(None, None, spaces, tmp_path, file=tmp_path / 'predictor.safetensors')
    pairs = [('det', spec) for spec in members(space)[:9]]
    assert again(pairs) == score(pairs)


def test_the_same_seed_is_the_same_predictor_whatever_was_drawn_before(space):
    specs = members(space)
    scores = {'cls': {spec: known('cls', spec) for spec in specs[:20]}}
    pairs = [('cls', spec) for spec in specs[-5:]]
    first = Predictor.fit(scores, dict(cls=space))(pairs)
    torch.rand(1)
    before = torch.get_rng_state()
    assert Predictor.fit(scores, dict(cls=space))(pairs) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert Predictor.fit(scores, dict(cls=space), seed=1)(pairs) != first


def test_every_choice_has_a_column(space):
    encoder = Encoder(space.to_config())
    specs = members(space)
    rows = encoder(specs)
    assert rows.shape == (684, 2 + 2 * 3)
    assert len(np.unique(rows, axis=0)) == 684
    assert encoder([space.largest()]).tolist() == [[1.0] * 8]
    config = dict(embed_dim=8, depth=(1, 3), num_heads=(1, 2), mlp_ratio=2, per_stage=True)
    alike = SearchSpace.from_config(config, TRANSFORMER)
    assert Encoder(alike.to_config())([alike.smallest()]).tolist() == [[0.5, 0.5]]
    with raises_naming(ValueError, 'depth', 2):
        Encoder(alike.to_config())([space.largest()])


@pytest.mark.parametrize('seed', range(3))
def test_rank_correlations_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 12, (2, 40)).astype(float)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic)
    assert kendall(first, np.ones(40)) is spearman(np.ones(40), first) is None


def test_too_few_scores_are_refused(space, scored):
    few = dict(scored, det=dict(list(scored['det'].items())[:9]))
    with raises_naming(ValueError, "'det'", '9 scores'):
        Predictor.fit(few, dict.fromkeys(TASKS, space))


@pytest.fixture
def file(space, tmp_path):
    """A predictor that has learned nothing."""
    config = space.to_config()
    network = ScoreNetwork(len(Encoder(config).columns))
    path = tmp_path / 'p.safetensors'
    Predictor(dict(cls=config), dict(cls=network), dict(cls=dict(kendall=0.5))).save(path)
    return path


@pytest.mark.parametrize(
    ('key', 'value'), [('samples', 2.5), ('finalists', '10'), ('samples', 0), ('samples', 9)]
)
def test_counts_that_are_none_are_refused(key, value):
    with raises_naming(ValueError, 'search_cfg.score', key, repr(value)):
        PredictorScore.check_config(dict(search_cfg=dict(score={key: value})))


def test_it_is_of_its_own_tasks_and_spaces(space, file):
    predictor = Predictor.load(file)
    part = dict(embed_dim=8, depth=2, num_heads=(1, 3), mlp_ratio=1, share_ratio=0.5)
    predictor.check(dict(cls=SearchSpace.from_config(part, TRANSFORMER)))
    with raises_naming(ValueError, file, "'det'"):
        PredictorScore(None, None, dict.fromkeys(TASKS, space), file.parent, file=str(file))
    for change in (dict(num_heads=4), dict(embed_dim=16), dict(share_ratio=0.25)):
        other = SearchSpace.from_config({**part, **change}, TRANSFORMER)
        with raises_naming(ValueError, file, "'cls'", next(iter(change))):
            predictor.check(dict(cls=other), file)
    with raises_naming(ValueError, '2 stages'):
        predictor.check(dict(cls=SearchSpace.from_config([part, part], TRANSFORMER)))


@pytest.mark.parametrize(
    'damage',
    [
        lambda data: b'',
        lambda data: data[:-100],
        lambda data: data.replace(b'cls.linear.bias', b'cls.linear.bios'),
        lambda data: data.replace(b'held_out', b'held_aut'),
        lambda data: b'\x80\x04.' + data,
    ],
)
def test_a_file_that_is_no_predictor_is_named(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with raises_naming(ValueError, f'predictor {file}'):
        Predictor.load(file)
    with raises_naming(FileNotFoundError, 'none.safetensors'):
        Predictor.load(file.with_name('none.safetensors'))


def test_weights_that_are_not_finite_are_damage(file):
    predictor = Predictor.load(file)
    torch.nn.init.constant_(predictor.networks['cls'].linear.bias, math.nan)
    predictor.save(file)
    with raises_naming(ValueError, f'predictor {file}', "'cls'", 'finite'):
        Predictor.load(file)
