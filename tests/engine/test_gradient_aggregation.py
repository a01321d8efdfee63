"""Gradients of shared weights, combined by torchjd: against torchjd and plain torch."""

import copy
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from distributed.trainings import largest_difference, trained
from helpers import build_runner, differences, joint_config
from mmengine.optim import OptimWrapper
from refusals import raises_naming
from scipy.optimize import minimize
from shared_images import (
    GROUP,
    TASKS,
    WEIGHTS,
    build,
    group_batch,
    model_config,
    one_pass,
    optimizer_of,
    own_batch,
    places_of,
    plan_of,
    specs_of,
)
from shared_images import largest_difference as difference_of_models
from torch import nn

from mdl_nas_mm.engine.amp import CPUAmpOptimWrapper
from mdl_nas_mm.engine.balancing import GradientAggregation
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.engine.method import build_step
from mdl_nas_mm.engine.task_gradients import TaskGradients
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.utils.randomness import derive_seed, seeded

aggregation = pytest.importorskip('torchjd.aggregation')
TOGETHER, ALONE = (TASKS,), tuple((task,) for task in TASKS)


def is_shared(name):
    return not name.startswith('tasks.') and '.specific.' not in name


def gradients_by_hand(model, step):
    """Each task's gradient of all weights, in plain torch: name -> gradient, or None."""
    found = {}
    for task in TASKS:
        own = copy.deepcopy(model)
        places = places_of(task, step, 0, missing=True)
        if places:
            data = own.preprocess(task, own_batch(task, step, 0, places))
            specs = specs_of(own, step)
            for spec in specs:
                (WEIGHTS[task] * own.loss(task, spec, data)[0] / len(specs)).backward()
            found[task] = {name: p.grad for name, p in own.named_parameters()}
    return found


class CAGradByScipy(aggregation.Aggregator):
    """Liu et al., 2021: the dual of Eq. 3, by a solver that torchjd does not use."""

    def __init__(self, c):
        super().__init__()
        self.c = c

    def weights(self, gradients):
        rows, count = gradients.double().numpy(), len(gradients)
        mean = rows.mean(0)
        found = minimize(
            lambda w: w @ rows @ mean + self.c * np.linalg.norm(mean) * np.linalg.norm(w @ rows),
            np.full(count, 1 / count),
            bounds=[(0, 1)] * count,
            constraints=dict(type='eq', fun=lambda w: w.sum() - 1),
            options=dict(ftol=1e-14, maxiter=1000),
        )
        return found.x, found.fun

    def forward(self, matrix, /):
        rows = matrix.double().numpy()
        mean, worst = rows.mean(0), self.weights(matrix)[0] @ rows
        radius = self.c * np.linalg.norm(mean)
        return torch.from_numpy(mean + radius / np.linalg.norm(worst) * worst).to(matrix)


@pytest.mark.parametrize('tasks', [2, 3])
def test_cagrad_helps_the_worst_task_most(tasks):
    """Of all steps as far from the mean: its least gain is what the dual problem bounds it by."""
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(tasks, 8, generator=generator, dtype=torch.float64)
    reference, mean = CAGradByScipy(0.4), rows.mean(0)
    step = reference(rows)
    assert float((step - mean).norm() / mean.norm()) == pytest.approx(0.4)
    assert float((rows @ step).min()) == pytest.approx(reference.weights(rows)[1], rel=1e-6)
    others = torch.randn(2000, 8, generator=generator, dtype=torch.float64)
    others = mean + 0.4 * mean.norm() * others / others.norm(dim=1, keepdim=True)
    assert (others @ rows.T).min(dim=1).values.max() <= (rows @ step).min() + 1e-9
    if find_spec('cvxpy'):
        theirs = aggregation.CAGrad(c=0.4)(rows)
        torch.testing.assert_close(theirs, step, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('step', [0, 3], ids=['all tasks', 'one without a label'])
@pytest.mark.parametrize(
    ('sharing', 'pass_groups'),
    [('AllShared', TOGETHER), ('Sequential', ALONE)],
    ids=['one', 'each'],
)
@pytest.mark.parametrize(
    ('name', 'settings'), [('Mean', {}), ('UPGrad', {}), ('PCGrad', {}), ('CAGrad', dict(c=0.4))]
)
def test_it_is_torchjd_applied_to_each_task_by_itself(
    name, settings, sharing, pass_groups, step, monkeypatch
):
    if name == 'CAGrad':
        # torchjd's needs cvxpy, without which older versions have none; it is compared above.
        monkeypatch.setattr(aggregation, name, CAGradByScipy, raising=False)
    # Of these weights one task's gradient conflicts with both others', so that the order matters.
    model, found = build(model_config('ViT', sharing), seed=3), {}
    rows = gradients_by_hand(model, step)
    assert len(rows) == (2 if step == 3 else 3)
    optimizer = optimizer_of(model)
    optimizer.register_step_pre_hook(
        lambda *_: found.update({n: p.grad for n, p in model.named_parameters()})
    )
    batches = {GROUP: [group_batch(step, 0, missing=True)]}
    balance = GradientAggregation(TASKS, dict(type=name, **settings))
    passes = one_pass(model, optimizer, step, plan_of(pass_groups), batches, balance=balance)
    found = {n: None if g is None else g.clone() for n, g in found.items()}
    parameters = {n: p for n, p in model.named_parameters() if is_shared(n)}
    flat = {}
    for task, own in rows.items():
        each = [torch.zeros_like(p) if own[n] is None else own[n] for n, p in parameters.items()]
        flat[task] = torch.cat([grad.flatten() for grad in each])
    # PCGrad draws an order of the tasks: that of the step, of the plan's seed.
    with seeded(derive_seed(0, step, 'balance')):
        expected = getattr(aggregation, name)(**settings)(torch.stack(list(flat.values())))
    parts = expected.split([p.numel() for p in parameters.values()])
    # Where the last digits of the rows differ, scipy stops within the root of its ftol.
    close = dict(rtol=1e-5, atol=1e-7) if name == 'CAGrad' else dict(rtol=1e-6, atol=1e-9)
    for (key, parameter), part in zip(parameters.items(), parts):
        reached = any(own[key] is not None for own in rows.values())
        assert (found[key] is not None) == reached
        if reached:
            torch.testing.assert_close(found[key], part.view_as(parameter), **close)
    for key in found.keys() - parameters.keys():
        (task,) = [task for task in TASKS if task in key.split('.')]
        own = rows[task][key] if task in rows else None
        assert (found[key] is None) == (own is None)
        if own is not None:
            torch.testing.assert_close(found[key], own, rtol=1e-6, atol=1e-9)
    norms = {k: float(v) for k, v in passes.losses.items() if k.endswith('/grad_norm')}
    assert norms == pytest.approx({f'{t}/grad_norm': float(g.norm()) for t, g in flat.items()})


def test_gradients_are_in_memory_once():
    """As many elements as tasks times shared weights, whatever the number of passes."""
    shared = [torch.nn.Parameter(torch.zeros(3, 4)), torch.nn.Parameter(torch.zeros(5))]
    kept, base = TaskGradients(shared, TASKS), []
    for task in (*TASKS, TASKS[0]):
        with kept.of(task):
            sum((p.sum() for p in shared), torch.zeros(())).backward()
    combined = kept.combine(lambda rows: base.append(rows) or rows.mean(0), 1.0, False)
    (rows,) = base
    assert rows.shape == (len(TASKS), 17) and set(combined) == set(TASKS)
    assert rows.untyped_storage().nbytes() == 4 * len(TASKS) * 17
    # A task that had two passes counts both; each row is the tasks' number times its gradient.
    assert rows[:, 0].tolist() == [2.0 * len(TASKS)] + [1.0 * len(TASKS)] * (len(TASKS) - 1)
    assert all(torch.equal(p.grad, torch.full_like(p, len(TASKS) + 1.0)) for p in shared)


@pytest.mark.parametrize(
    ('sharing', 'pass_groups'),
    [('AllShared', TOGETHER), ('Sequential', ALONE)],
    ids=['one', 'each'],
)
def test_in_mixed_precision(sharing, pass_groups):
    """With the backbone in bfloat16 it is as in float32, to the precision of bfloat16."""
    found = {}
    for wrapper in (OptimWrapper, CPUAmpOptimWrapper):
        model = build(model_config('ViT', sharing)).float()
        optimizer = optimizer_of(model)
        balance = GradientAggregation(TASKS, dict(type='UPGrad'))
        shared = [p for name, p in model.named_parameters() if is_shared(name)]
        optimizer.register_step_pre_hook(
            lambda *_, to=wrapper, of=shared: found.update(
                {to: torch.cat([p.grad.flatten() for p in of if p.grad is not None])}
            )
        )
        batches = {GROUP: [group_batch(0, 0, missing=True)]}
        one_pass(
            model, optimizer, 0, plan_of(pass_groups), batches, wrapper=wrapper, balance=balance
        )
    full, mixed = found.values()
    assert mixed.dtype is torch.float32 and mixed.shape == full.shape
    assert 1e-4 < float((mixed - full).norm() / full.norm()) < 0.05


@pytest.mark.parametrize(
    ('sharing', 'pass_groups'),
    [('AllShared', TOGETHER), ('Sequential', ALONE)],
    ids=['one', 'each'],
)
@pytest.mark.parametrize('missing', [False, True], ids=['all', 'missing'])
def test_norms_without_aggregation(sharing, pass_groups, missing):
    """They are those of an aggregation, and the weights those of a step that measures nothing."""
    ends, norms = [], {}
    for name, more in (
        ('plain', {}),
        ('measured', dict(grad_norms=True)),
        ('aggregated', dict(balance=GradientAggregation(TASKS, dict(type='Mean')))),
    ):
        model = build(model_config('ViT', sharing))
        optimizer = optimizer_of(model)
        batches = {GROUP: [group_batch(3, 0, missing=missing)]}
        passes = one_pass(model, optimizer, 3, plan_of(pass_groups), batches, **more)
        ends.append(model)
        norms[name] = {k: float(v) for k, v in passes.losses.items() if 'grad_norm' in k}
    assert difference_of_models(*ends[:2]) < 1e-12
    assert not norms['plain'] and norms['measured'] == norms['aggregated']
    assert len(norms['measured']) == (2 if missing else 3)


def test_norms_are_logged_every_so_many_steps(data, tmp_path):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 4})
    cfg.train_cfg.step, cfg.val_cfg = dict(type='JointStep', grad_norm_interval=2), None
    runner = build_runner(cfg, tmp_path)
    runner.train()
    for task in ('cls', 'det', 'seg'):
        found = runner.message_hub.get_scalar(f'train/{task}/grad_norm').data[0]
        assert len(found) == 2 and min(found) > 0
    with raises_naming(ValueError, 'train_cfg.step.grad_norm_interval', '-1'):
        build_step(dict(type='JointStep', grad_norm_interval=-1), {}, 0, runner.model, None)


def training(data, aggregator, changes=None):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 4, **(changes or {})})
    balance = dict(type='GradientAggregation', aggregator=dict(type=aggregator))
    cfg.train_cfg.step, cfg.val_cfg = dict(type='JointStep', balance=balance), None
    cfg.default_hooks.checkpoint.interval = 2
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.02)
    return cfg


def test_a_resumed_training_ends_like_the_whole_one(data, tmp_path):
    """Also with an aggregator that draws an order of the tasks."""
    build_runner(training(data, 'PCGrad'), tmp_path / 'whole').train()
    changes = {'resume': True, 'load_from': str(tmp_path / 'whole' / 'iter_2.pth')}
    build_runner(training(data, 'PCGrad', changes), tmp_path / 'resumed').train()
    whole, resumed = (read_checkpoint(tmp_path / n / 'iter_4.pth') for n in ('whole', 'resumed'))
    for key in ('state_dict', 'optimizer'):
        assert differences(whole[key], resumed[key]) == [], key


@pytest.mark.distributed
def test_any_number_of_processes_does_the_same(data, tmp_path):
    cfg = training(data, 'UPGrad')
    cfg.groups = dict(cls=1, det=1, seg=1)
    ends = [trained(count, cfg, tmp_path / str(count))['state_dict'] for count in (0, 2, 3)]
    for end in ends[1:]:
        assert largest_difference(ends[0], end) < 1e-5


@pytest.mark.parametrize(
    ('aggregator', 'named'),
    [
        (dict(type='Nobody'), ("'Nobody'",)),
        (dict(type='UPGrad', colour=1), ('UPGrad', 'colour')),
        (dict(type='Remembering'), ('Remembering', 'checkpoint')),
    ],
)
def test_mistakes_are_named(aggregator, named, monkeypatch):
    remembering = type('Remembering', (aggregation.Mean,), dict(reset=lambda self: None))
    monkeypatch.setattr(aggregation, 'Remembering', remembering, raising=False)
    with raises_naming(ValueError, 'balance.aggregator', *named):
        GradientAggregation(TASKS, aggregator)


@pytest.mark.parametrize(
    ('settings', 'name'),
    [
        (dict(balance=dict(type='GradientAggregation', aggregator=dict(type='UPGrad'))), 'balance'),
        (dict(grad_norm_interval=1), 'grad_norm_interval'),
    ],
)
def test_shared_weights_that_are_not_trained_have_no_gradients(settings, name):
    """As those that new tasks of a base leave as they are."""
    model = build(model_config('ViT', 'Sequential'))
    given = (dict(type='JointStep', **settings), dict.fromkeys(TASKS, model.backbone.space), 0)
    build_step(*given, model, None)
    for parameter in model.parameters_by_owners()[ALL]:
        parameter.requires_grad = False
    with raises_naming(ValueError, f'train_cfg.step.{name}'):
        build_step(*given, model, None)


def test_without_torchjd_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchjd', None)
    with raises_naming(ValueError, 'balance.aggregator', 'pip install', 'balancing'):
        GradientAggregation(TASKS, dict(type='UPGrad'))


def test_scaled_losses_are_aggregated_as_they_are_and_scaled_again():
    """What a loss scaler multiplies is taken out for the aggregator, and it takes it out later."""
    torch.manual_seed(0)
    used, unused, own = (nn.Parameter(torch.randn(3)) for _ in range(3))
    factors = dict(a=torch.randn(3), b=torch.randn(3))
    gradients = TaskGradients([used, unused], ['a', 'b', 'c'])
    for task, factor in factors.items():
        with gradients.of(task):
            # A task of three counts a third.
            (8 * ((factor * used).sum() + own.sum()) / 3).backward()
    given = []
    norms = gradients.combine(lambda rows: given.append(rows.clone()) or rows.amax(0), 8.0, False)
    expected = torch.stack(list(factors.values()))
    torch.testing.assert_close(given[0][:, :3], expected)
    assert not given[0][:, 3:].any()
    torch.testing.assert_close(used.grad, 8 * expected.amax(0))
    # An optimizer leaves alone what has no gradient.
    assert unused.grad is None
    assert {task: norm.item() for task, norm in norms.items()} == {
        task: pytest.approx(factor.norm().item()) for task, factor in factors.items()
    }
