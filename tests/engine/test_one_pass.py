"""Tasks on the same images in one pass: the same mathematics as a pass for each of them."""

import copy
import weakref

import pytest
import torch
from helpers import differences
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from shared_images import (
    BACKBONES,
    GROUP,
    IMAGES,
    TASKS,
    UPSTREAM,
    WEIGHTS,
    build,
    group_batch,
    k_passes,
    largest_difference,
    model_config,
    one_pass,
    optimizer_of,
    own_batch,
    plan_of,
)

from mdl_nas_mm.engine.assignment import RankAssignment
from mdl_nas_mm.engine.plan import StepPlan

STEPS = 5
TOGETHER, ALONE = (TASKS,), tuple((task,) for task in TASKS)


def count_passes(model, monkeypatch):
    """A list with an entry for each pass through the backbone from now on."""
    passed, forward = [], model.backbone.forward_subnet
    monkeypatch.setattr(
        model.backbone, 'forward_subnet', lambda *args: passed.append(args[0]) or forward(*args)
    )
    return passed


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('missing', [False, True], ids=['all labels', 'missing labels'])
@pytest.mark.parametrize(
    ('backbone', 'sharing', 'pass_groups'),
    [
        *((backbone, 'AllShared', TOGETHER) for backbone in (*BACKBONES, *UPSTREAM)),
        *(
            (backbone, sharing, ALONE)
            for backbone in BACKBONES
            for sharing in ('Sequential', 'Mask', 'AllSpecific')
        ),
    ],
)
def test_one_pass_is_k_passes(backbone, sharing, pass_groups, missing, monkeypatch):
    """Losses, gradients and weights of five steps of two batches, in float64."""
    ours = build(model_config(backbone, sharing))
    theirs, found, passed = copy.deepcopy(ours), {}, count_passes(ours, monkeypatch)
    optimizers = [optimizer_of(model) for model in (ours, theirs)]
    optimizers[0].register_step_pre_hook(lambda *_: found.update(gradients(ours)))
    for step in range(STEPS):
        found.clear(), passed.clear()
        groups = [group_batch(step, batch, missing) for batch in range(2)]
        passes = one_pass(ours, optimizers[0], step, plan_of(pass_groups, 2), {GROUP: groups})
        tasks = sum(own is not None for group in groups for own in group.batches.values())
        assert len(passed) == 2 * (2 if pass_groups == TOGETHER else tasks)
        expected = k_passes(theirs, optimizers[1], step, missing, 2)
        own = {task: passes.losses.get(f'{task}/loss') for task in TASKS}
        own = {task: float(value) for task, value in own.items() if value is not None}
        assert own == pytest.approx(expected, abs=1e-9)
        assert ('edges' in own) == (not missing or step != 3)
        there = gradients(theirs)
        assert found.keys() == there.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, there[name], rtol=1e-6, atol=1e-10)
    assert largest_difference(ours, theirs) < 1e-9


class Scaled(OptimWrapper):
    """Scales losses and unscales gradients, as mixed precision does."""

    def backward(self, loss, **kwargs):
        super().backward(loss * 1024, **kwargs)

    def step(self, **kwargs):
        for group in self.optimizer.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter.grad /= 1024
        super().step(**kwargs)


def narrow(task, batch):
    """The task's images without their last columns, so that they are padded to another size."""
    own = batch.batches[task]
    own['inputs'] = [image[..., :8] for image in own['inputs']]
    for found in own['data_samples']:
        found.gt_sem_seg = PixelData(data=found.gt_sem_seg.data[..., :8])
        found.set_metainfo(dict(img_shape=(16, 8)))


@pytest.mark.parametrize('case', ['distilled', 'scaled', 'of two sizes', 'frozen'])
def test_a_pass_is_shared_whatever_else_a_step_does(case, monkeypatch):
    """Against a pass for each task, which the test above compares with plain torch."""
    losses = dict(features=dict(type='ChannelMeanLoss'), logits=dict(type='SoftTargetLoss'))
    distill = losses if case == 'distilled' else None
    first = build(model_config('ViT', 'AllShared'))
    if case == 'frozen':
        first.backbone.requires_grad_(False)
    before = copy.deepcopy(first)
    models, logs = (first, copy.deepcopy(first)), []
    for model, pass_groups in zip(models, (TOGETHER, ALONE)):
        optimizer = optimizer_of(model)
        for step in range(2):
            batch = group_batch(step, 0, missing=False)
            if case == 'of two sizes':
                narrow('parts', batch)
            wrapper = Scaled if case == 'scaled' else OptimWrapper
            passes = one_pass(
                model, optimizer, step, plan_of(pass_groups), {GROUP: [batch]}, distill, wrapper
            )
        logs.append({name: float(value) for name, value in passes.losses.items()})
    assert logs[0] == pytest.approx(logs[1], abs=1e-9)
    assert ('seg/distill_features' in logs[0]) == (case == 'distilled')
    assert largest_difference(*models) < 1e-9
    assert largest_difference(first, before) > 1e-3


class Held:
    """A tensor that a graph holds."""

    def __init__(self, tensor):
        self.tensor = tensor


@pytest.mark.parametrize('grad_norms', [False, True], ids=['summed', 'apart'])
def test_what_a_head_has_computed_is_freed_before_the_next_one_runs(grad_norms, monkeypatch):
    model = build(model_config('ViT', 'AllShared'))
    held, counts, forward = weakref.WeakSet(), [], model.loss

    def hold(tensor):
        found = Held(tensor)
        held.add(found)
        return found

    def loss(*args):
        counts.append(len(held))
        # The backbone has run before, its graph is not among these.
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda found: found.tensor):
            found = forward(*args)
        counts.append(len(held))
        return found

    monkeypatch.setattr(model, 'loss', loss)
    batches = {GROUP: [group_batch(0, 0, missing=False)]}
    one_pass(model, optimizer_of(model), 0, plan_of(TOGETHER), batches, grad_norms=grad_norms)
    # Three heads of two subnets.
    assert len(counts) == 2 * 6
    assert set(counts[::2]) == {0} and min(counts[1::2]) > 0


def test_what_is_random_in_a_head_does_not_depend_on_other_tasks(monkeypatch):
    """Its dropout, and its loss with it; the backbone drops the same paths."""
    config = model_config('ViT', 'AllShared')
    config['backbone']['drop_path_rate'] = 0.3
    for task in config['tasks'].values():
        task['model']['decode_head']['dropout_ratio'] = 0.5
    found = []
    for without in ('parts', 'edges'):
        batch = group_batch(0, 0, missing=False)
        batch.batches[without], batch.places[without] = None, ()
        model = build(config)
        passes = one_pass(model, optimizer_of(model), 0, plan_of(TOGETHER), {GROUP: [batch]})
        found.append(float(passes.losses['seg/loss']))
    assert found[0] == found[1]


def test_a_task_in_a_group_by_itself_trains_to_the_bit_as_without(monkeypatch):
    """Its seeds, its weights and its loss are those of a task with a loader of its own."""
    config = model_config('ViT', 'AllShared', ('seg',))
    config['backbone']['drop_path_rate'] = 0.3
    states = []
    for pass_groups, batch in (
        ({GROUP: (('seg',),)}, {GROUP: [group_batch(0, 0, False, tasks=('seg',))]}),
        (None, {'seg': [own_batch('seg', 0, 0, range(IMAGES))]}),
    ):
        assignment = RankAssignment(dict(seg=(0,)), dict(seg=1))
        plan = StepPlan.make(assignment, 0, dict(seg=IMAGES), WEIGHTS, 0, pass_groups)
        model = build(config)
        one_pass(model, optimizer_of(model), 0, plan, batch)
        states.append(model.state_dict())
    assert differences(*states) == []
