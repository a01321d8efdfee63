"""What no subnet of a step used keeps its value and its optimizer state, bit for bit."""

import random

import numpy as np
import pytest
import torch
from helpers import POLICIES, TASKS, build_model, joint_config, only, plan_alone
from mmengine.optim import OptimWrapper

from mdl_nas_mm.engine.freeze import freeze_rest, used_mask
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.spec import footprint, score_footprint
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

MOMENTS = ('exp_avg', 'exp_avg_sq')


@pytest.fixture(scope='module')
def batches(data):
    cfg = resolve_joint_config(joint_config(data))
    return {
        task: [next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))]
        for task, info in cfg.tasks.items()
    }


class Training:
    """A joint model with AdamW, which is stepped with chosen subnets."""

    def __init__(self, cfg, batches, freeze=True):
        self.model = build_model(cfg).train()
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2, weight_decay=0.1)
        self.wrapper = OptimWrapper(optimizer)
        self.batches, self.freeze, self.iteration = batches, freeze, 0
        self.gradients = {}

    def step(self, specs):
        step = self.wrapper.optimizer.step

        def keep_gradients(*args, **kwargs):
            named = self.model.named_parameters()
            self.gradients = {k: p.grad.clone() for k, p in named if p.grad is not None}
            return step(*args, **kwargs)

        self.wrapper.optimizer.step = keep_gradients
        batches = {task: self.batches[task] for task in specs}
        plan = plan_alone(dict.fromkeys(specs, 1.0), 0)
        passes = Passes(self.model, self.wrapper, batches, plan, self.iteration)
        train_step(JointStep({}, self.freeze), passes, specs)
        self.wrapper.optimizer.step = step
        self.iteration += 1

    def snapshot(self):
        """Name -> value and moments; zeros where the optimizer has no state yet."""
        found = {}
        for name, parameter in self.model.named_parameters():
            state = self.wrapper.optimizer.state.get(parameter, {})
            moments = [state.get(key, torch.zeros_like(parameter)) for key in MOMENTS]
            found[name] = [tensor.detach().clone() for tensor in (parameter, *moments)]
        return found

    def used(self, specs):
        """Name -> mask of the elements that the subnets use; names without any are absent."""
        ledger = self.model.backbone.ledger()
        passes = [(task, spec) for task, group in specs.items() for spec in group]
        lengths = footprint(ledger, passes) | score_footprint(ledger, passes)
        parameters = dict(self.model.backbone.named_parameters())
        return {f'backbone.{k}': used_mask(parameters[k], v) for (k, _), v in lengths.items()}


def small_specs(space, tasks, seed):
    """Subnets that leave much unused: no largest one among them."""
    rng = random.Random(seed)
    return {
        task: [space.resample_ratios(space.smallest(), rng), space.sample(rng)] for task in tasks
    }


def share(condition, among):
    """Which share of the elements in question a condition holds for."""
    return condition[among].float().mean().item() if among.any() else 1.0


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_unused_elements_stay_and_used_ones_move(data, batches, sharing):
    training = Training(joint_config(data, sharing), batches)
    space, untouched = training.model.backbone.space, 0
    for seed in range(4):
        # The first step makes the optimizer's states, for used and unused elements alike.
        specs = small_specs(space, TASKS, seed)
        before, used = training.snapshot(), training.used(specs)
        training.step(specs)
        for name, after in training.snapshot().items():
            if not name.startswith('backbone.'):
                continue
            mask = used.get(name, torch.zeros_like(after[0], dtype=torch.bool))
            untouched += int((~mask).sum())
            for old, new in zip(before[name], after):
                assert torch.equal(old[~mask], new[~mask]), name
            gradient = training.gradients.get(name, torch.zeros_like(after[0]))
            assert not gradient[~mask].any(), name
            # Below that squares vanish; and now and then an update is lost in rounding.
            moving = gradient.abs() > 1e-6
            for old, new in zip(before[name], after):
                assert share(old != new, moving) > 0.99, name
            # Weight decay moves also what was used but has no gradient.
            if name in training.gradients:
                assert share(before[name][0] != after[0], mask & (after[0] != 0)) > 0.99, name
    assert untouched > 1000


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_without_freezing_weight_decay_moves_unused_elements(data, batches, sharing):
    training = Training(joint_config(data, sharing), batches, freeze=False)
    space = training.model.backbone.space
    training.step({task: [space.largest()] for task in TASKS})
    specs = small_specs(space, TASKS, 0)
    before, used, moved = training.snapshot(), training.used(specs), 0
    training.step(specs)
    for name, after in training.snapshot().items():
        if name in training.gradients and name in used:
            rest = ~used[name] & (before[name][0] != 0)
            assert share(before[name][0] != after[0], rest) > 0.99, name
            moved += int(rest.sum())
    assert moved > 300


@pytest.mark.parametrize('freeze', [True, False])
@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_a_step_of_one_task_leaves_the_others_alone(data, batches, sharing, freeze):
    """Their own weights and heads, and the optimizer states of these."""
    training = Training(joint_config(data, sharing), batches, freeze)
    space = training.model.backbone.space
    training.step({task: [space.largest()] for task in TASKS})
    for seed, task in enumerate(TASKS):
        before = training.snapshot()
        training.step(small_specs(space, [task], seed))
        changed = {
            name
            for name, after in training.snapshot().items()
            if any(not torch.equal(old, new) for old, new in zip(before[name], after))
        }
        for other in TASKS:
            own = {
                k for k in changed if f'.specific.{other}.' in k or k.startswith(f'tasks.{other}')
            }
            assert bool(own) == (other == task), sorted(own)[:3]
        assert any('.specific.' not in name and 'backbone' in name for name in changed)


def test_freezing_changes_nothing_where_all_is_used(data, batches):
    """With the largest subnet among them, the shared weights move as without freezing."""
    results = []
    for freeze in (True, False):
        training = Training(joint_config(data, 'AllShared'), batches, freeze)
        space = training.model.backbone.space
        for _ in range(2):
            training.step({task: [space.smallest(), space.largest()] for task in TASKS})
        results.append(training.snapshot())
    for name, first in results[0].items():
        assert all(torch.equal(a, b) for a, b in zip(first, results[1][name])), name


@pytest.mark.parametrize('momentum', [0.0, 0.9])
def test_freezing_with_another_optimizer(data, batches, momentum):
    training = Training(only(joint_config(data), 'cls', 'seg'), batches)
    parameters = training.model.parameters()
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=momentum, weight_decay=0.1)
    training.wrapper = OptimWrapper(optimizer)
    space = training.model.backbone.space
    training.step({task: [space.largest()] for task in ('cls', 'seg')})
    specs = small_specs(space, ('cls', 'seg'), 1)
    before, used = training.snapshot(), training.used(specs)
    training.step(specs)
    for name, (after, *_) in training.snapshot().items():
        if name in used:
            assert torch.equal(before[name][0][~used[name]], after[~used[name]]), name


def test_two_runs_of_columns_from_the_first_step():
    """Of a layer behind a concatenation; rows are used at different lengths."""
    weight = torch.nn.Parameter(torch.ones(3, 5))
    used = used_mask(weight, np.array([2, 1, 0])) | used_mask(weight, np.array([2, 0, 1]), 3)
    expected = [[1, 1, 0, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
    assert torch.equal(used, torch.tensor(expected, dtype=torch.bool))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.1)
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        with freeze_rest(optimizer, {weight: used}):
            optimizer.step()
        state = optimizer.state[weight]
        assert torch.equal(weight != 1, used)
        assert all(torch.equal(state[key] != 0, used) for key in MOMENTS)
