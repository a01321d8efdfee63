"""Losses that are weighed: hand-worked numbers, and trainings that are resumed and grouped."""

import math

import extension.toy_method  # noqa: F401
import pytest
import torch
from distributed.trainings import largest_difference, trained
from helpers import build_runner, differences, joint_config
from refusals import raises_naming

from mdl_nas_mm.engine.balancing import DynamicWeightAverage, UncertaintyWeighting
from mdl_nas_mm.engine.checkpoint import read_checkpoint

SGD = dict(optimizer=dict(type='SGD', lr=0.1))
UNCERTAIN = dict(
    type='JointStep',
    balance=dict(type='UncertaintyWeighting', classification=['cls']),
    optim_wrapper=SGD,
)
AVERAGE = dict(type='JointStep', balance=dict(type='DynamicWeightAverage', window=1))


def config(data, step, changes=None):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 4, **(changes or {})})
    cfg.train_cfg.step, cfg.val_cfg = step, None
    cfg.default_hooks.checkpoint.interval = 2
    return cfg


def test_uncertainty_weighting_by_hand():
    """Three updates of log sigma^2 by plain gradient descent, against the derivatives on paper."""
    balance = UncertaintyWeighting(('cls', 'depth'), classification=['cls'], init=0.5)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.2)
    cls = depth = 0.5
    for of_cls, of_depth in ((2.0, 0.5), (1.5, 0.3), (1.0, 4.0)):
        first = balance('cls', torch.tensor(of_cls))
        second = balance('depth', torch.tensor(of_depth))
        assert first.item() == pytest.approx(of_cls * math.exp(-cls) + cls / 2)
        assert second.item() == pytest.approx(of_depth * math.exp(-depth) / 2 + depth / 2)
        optimizer.zero_grad()
        (first + second).backward()
        optimizer.step()
        cls -= 0.2 * (0.5 - of_cls * math.exp(-cls))
        depth -= 0.2 * (0.5 - of_depth * math.exp(-depth) / 2)
    assert balance.log_variances.tolist() == pytest.approx([cls, depth])
    logged = {name: float(value) for name, value in balance.logged().items()}
    expected = {'cls/weight': math.exp(-cls), 'depth/weight': math.exp(-depth) / 2}
    assert logged == pytest.approx(expected)


def test_dynamic_weight_average_by_hand():
    """Windows of two steps; in the third one b has no loss, in the fourth one in a step only."""
    balance = DynamicWeightAverage(('a', 'b'), window=2, temperature=2.0)
    windows = [
        ([2.0, 4.0], [1.0, 1.0], (1.0, 1.0)),
        # Means 3 and 1, then 1.5 and 1.
        ([1.0, 2.0], [0.5, 1.5], (0.5, 1.0)),
        ([1.5, 1.5], [None, None], (1.0, 1.0)),
        # b is compared with what it had last.
        ([3.0, 3.0], [None, 0.5], (2.0, 0.5)),
    ]
    for of_a, of_b, ratios in windows:
        for a, b in zip(of_a, of_b):
            losses = {'a/loss': a, 'b/loss': b}
            balance.observe({k: torch.tensor(v) for k, v in losses.items() if v is not None})
        total = sum(math.exp(ratio / 2) for ratio in ratios)
        expected = [2 * math.exp(ratio / 2) / total for ratio in ratios]
        assert balance.weights.tolist() == pytest.approx(expected)
        assert float(balance('b', torch.tensor(3.0))) == pytest.approx(3 * expected[1])


@pytest.mark.parametrize('step', [UNCERTAIN, AVERAGE], ids=['uncertainty', 'average'])
def test_a_resumed_training_ends_like_the_whole_one(data, tmp_path, step):
    runner = build_runner(config(data, step), tmp_path / 'whole')
    runner.train()
    weights = {
        t: runner.message_hub.get_scalar(f'train/{t}/weight').data[0] for t in ('cls', 'det')
    }
    assert len({float(w[-1]) for w in weights.values()}) == 2
    changes = {'resume': True, 'load_from': str(tmp_path / 'whole' / 'iter_2.pth')}
    build_runner(config(data, step, changes), tmp_path / 'resumed').train()
    whole, resumed = (read_checkpoint(tmp_path / n / 'iter_4.pth') for n in ('whole', 'resumed'))
    for key in ('state_dict', 'optimizer', 'method'):
        assert differences(whole[key], resumed[key]) == [], key


def test_weights_of_one_change_nothing(data, tmp_path):
    """Also in a step of another method, which knows nothing of it."""
    states = []
    for balance in (None, dict(type='DynamicWeightAverage', window=100)):
        step = dict(type='WeighedStep', **({} if balance is None else dict(balance=balance)))
        folder = tmp_path / str(len(states))
        build_runner(config(data, step, {'train_cfg.max_iters': 2}), folder).train()
        states.append(read_checkpoint(folder / 'iter_2.pth')['state_dict'])
    assert differences(*states) == []


@pytest.mark.distributed
@pytest.mark.parametrize('step', [UNCERTAIN, AVERAGE], ids=['uncertainty', 'average'])
def test_any_number_of_processes_does_the_same(data, tmp_path, step):
    cfg = config(data, step)
    cfg.groups = dict(cls=1, det=1, seg=1)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.02)
    ends = [trained(count, cfg, tmp_path / str(count)) for count in (0, 2, 3)]
    for end in ends[1:]:
        assert largest_difference(ends[0]['state_dict'], end['state_dict']) < 1e-5
        assert largest_difference(ends[0]['method']['step'], end['method']['step']) < 1e-5


@pytest.mark.parametrize(
    ('step', 'named'),
    [
        (dict(type='JointStep', balance=dict(type='Nobody')), ('step.balance', "'Nobody'")),
        (dict(type='JointStep', balance=dict(type='UncertaintyWeighting')), ('optim_wrapper',)),
        (
            dict(UNCERTAIN, balance=dict(type='UncertaintyWeighting', classification=['clz'])),
            ('balance.classification', "'clz'", 'cls'),
        ),
        (
            dict(type='JointStep', balance=dict(type='DynamicWeightAverage', window=0)),
            ('balance.window', '0'),
        ),
        (
            dict(type='JointStep', balance=dict(type='DynamicWeightAverage', window=2.5)),
            ('balance.window', '2.5'),
        ),
        (
            dict(type='JointStep', balance=dict(type='DynamicWeightAverage', windows=3)),
            ('balance.windows',),
        ),
        (
            dict(type='JointStep', balance=dict(type='DynamicWeightAverage')),
            ('balance', 'window'),
        ),
        (
            dict(type='JointStep', balance=dict(type='DynamicWeightAverage', window='x')),
            ('balance.window', "'x'"),
        ),
        (
            dict(type='JointStep', balance=dict(type='UncertaintyWeighting', init='x')),
            ('balance.init', "'x'"),
        ),
        (
            dict(type='JointStep', balance=dict(type='GradientAggregation', aggregator='PCGrad')),
            ('balance.aggregator', "'PCGrad'", 'type='),
        ),
    ],
)
def test_mistakes_are_named(data, tmp_path, step, named):
    with raises_naming(ValueError, *named):
        build_runner(config(data, step), tmp_path).train()
