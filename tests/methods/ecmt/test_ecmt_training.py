"""Algorithm 1: what a step trains, on which losses, and what becomes of batch norms."""

import copy

import pytest
import torch
from controlled_tasks import RESNET
from helpers import build_runner
from image_group import joint_config, write_images
from mmengine.optim import OptimWrapper
from refusals import raises_naming
from shared_images import (
    BACKBONES,
    GROUP,
    IMAGES,
    TASKS,
    WEIGHTS,
    build,
    group_batch,
    model_config,
    own_batch,
    places_of,
    plan_of,
)
from torch.nn.modules.batchnorm import _BatchNorm

from mdl_nas_mm.engine.freeze import used_mask
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.methods.ecmt import ECMTStep, LargestFirstSampler
from mdl_nas_mm.spec import SearchSpace, footprint
from mdl_nas_mm.tasks import resolve_joint_config

KD = 0.7


def subnets(model, seed=0):
    sampler = LargestFirstSampler(dict.fromkeys(TASKS, model.backbone.space), seed)
    return sampler.propose(0)[TASKS[0]]


def gradients_of(model, specs, kd, missing=False, together=True):
    """Name -> gradient of the package's step, and what it logs."""
    model, found = copy.deepcopy(model), {}
    pass_groups = (TASKS,) if together else tuple((task,) for task in TASKS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def keep(*_):
        found.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    optimizer.register_step_pre_hook(keep)
    batches = {GROUP: [group_batch(0, 0, missing)]}
    passes = Passes(model, OptimWrapper(optimizer), batches, plan_of(pass_groups), 0)
    step = ECMTStep(dict.fromkeys(TASKS, model.backbone.space), kd_weight=kd)
    train_step(step, passes, dict.fromkeys(TASKS, specs))
    return found, {name: float(value) for name, value in passes.losses.items()}


def means(model, spec, images):
    """Features of all levels, averaged over the channels that a subnet has."""
    widths = model.backbone.active_channels('seg', spec)
    outputs = model.features('seg', spec, images)
    return [x[:, :width].mean(1) for x, width in zip(outputs, widths)]


def objective(model, specs, kd, missing=False):
    """Algorithm 1 in plain torch, one model after the other; and what is distilled by task."""
    labelled = {task: places_of(task, 0, 0, missing) for task in TASKS}
    total, teachers, distilled = 0.0, {}, dict.fromkeys(TASKS, 0.0)
    for number, spec in enumerate(specs):
        for task, places in labelled.items():
            data = model.preprocess(task, own_batch(task, 0, 0, places))
            total = total + WEIGHTS[task] * model.loss(task, spec, data)[0]
            own = means(model, spec, data['inputs'])
            if number == 0:
                teachers[task] = [x.detach() for x in own]
                continue
            levels = [(a - b).square().mean() for a, b in zip(own, teachers[task])]
            learned = sum(levels) / len(levels)
            distilled[task] += learned.item()
            total = total + kd * learned / (len(specs) - 1) / len(TASKS)
    return total / len(specs) / len(TASKS), distilled


@pytest.mark.parametrize('missing', [False, True], ids=['all labels', 'missing labels'])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_a_step_has_the_gradients_of_algorithm_1(backbone, missing):
    model = build(model_config(backbone, 'AllShared'))
    specs = subnets(model)
    found, logged = gradients_of(model, specs, KD, missing)
    loss, distilled = objective(model, specs, KD, missing)
    loss.backward()
    for name, parameter in model.named_parameters():
        expected = parameter.grad
        if name.startswith('tasks.'):
            expected = expected * len(TASKS)
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-10)
    # The mean over students of what is distilled, without its weight.
    for task, value in distilled.items():
        assert value > 0
        assert logged[f'{task}/ci_kd'] == pytest.approx(value / (len(specs) - 1), rel=1e-6)
    apart, _ = gradients_of(model, specs, KD, missing, together=False)
    for name in found:
        torch.testing.assert_close(found[name], apart[name], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize('backbone', [*BACKBONES, 'slimmable'])
def test_what_is_distilled_stays_within_the_student_and_out_of_the_decoders(backbone):
    config = model_config('ViT' if backbone == 'slimmable' else backbone, 'AllShared')
    if backbone == 'slimmable':
        config['backbone'] = dict(RESNET, tasks=TASKS)
    model = build(config)
    specs = [model.backbone.space.largest(), model.backbone.space.smallest()]
    (with_kd, _), (without, _) = (gradients_of(model, specs, kd) for kd in (KD, 0.0))
    used = footprint(model.backbone.ledger(), [(TASKS[0], specs[1])])
    inside, outside = 0, 0
    for name, parameter in model.named_parameters():
        if name not in with_kd:
            continue
        change = with_kd[name] - without.get(name, 0.0)
        own = name.removeprefix('backbone.')
        student = torch.zeros(change.shape, dtype=torch.bool)
        for (of, first), lengths in used.items():
            if of == own:
                student |= used_mask(parameter, lengths, first)
        assert not change[~student].any(), name
        inside += int(change[student].count_nonzero())
        outside += int((~student).sum())
    assert min(inside, outside) > 100


def test_the_largest_then_the_smallest_then_random_ones():
    space = SearchSpace.from_config(
        BACKBONES['ViT']['space'], build(model_config('ViT', 'AllShared')).backbone.space.dimensions
    )
    sampler = LargestFirstSampler(dict(seg=space), seed=3, models=5)
    largest, smallest, *others = sampler.propose(7)['seg']
    sizes = [spec.stages[0].embed_dim for spec in (smallest, largest)]
    assert sizes == [s.stages[0].embed_dim for s in (space.smallest(), space.largest())]
    assert len(others) == 3
    assert sampler.propose(7) == LargestFirstSampler(dict(seg=space), 3, 5).propose(7)
    assert sampler.propose(8) != sampler.propose(7)
    with raises_naming(ValueError, 'models', '1'):
        LargestFirstSampler(dict(seg=space), models=1)
    with raises_naming(ValueError, 'kd_weight', '-1'):
        ECMTStep({}, kd_weight=-1)
    for weight in ('much', float('nan'), float('inf'), None):
        with raises_naming(ValueError, 'kd_weight', repr(weight)):
            ECMTStep({}, kd_weight=weight)


def ecmt_config(root):
    cfg = joint_config(write_images(root))
    cfg.train_cfg.update(
        max_iters=2, sampler=dict(type='LargestFirstSampler'), step=dict(type='ECMTStep')
    )
    for task in cfg.tasks.values():
        task.model.decode_head.norm_cfg = dict(type='BN')
    return cfg


@pytest.mark.parametrize(
    'key, value',
    [
        ('sharing', 'Sequential'),
        ('propagation', 'basic'),
        ('propagation', dict(seg='none', parts='none', alone='naive')),
    ],
)
def test_what_is_trained_but_cannot_be_controlled_is_said_before(tmp_path, key, value):
    cfg = ecmt_config(tmp_path)
    assert not ECMTStep.check_config(resolve_joint_config(cfg))
    cfg.backbone[key] = value
    notes = ECMTStep.check_config(resolve_joint_config(cfg))
    assert notes == [f'backbone.{key}: mdl-nas control takes no such model']


def norms(model):
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def test_batch_norms_keep_nothing_and_are_estimated_for_a_validation(tmp_path, monkeypatch):
    with raises_naming(ValueError, 'recalibrate_images', 'ECMTStep'):
        build_runner(ecmt_config(tmp_path / 'data'), tmp_path / 'refused').train()
    cfg = ecmt_config(tmp_path / 'data')
    cfg.recalibrate_images = IMAGES
    runner, seen = build_runner(cfg, tmp_path / 'work'), []
    model = runner.model
    kind = type(model.tasks['seg'])
    step = kind.val_step

    def noted(subnet, batch):
        seen.append(norms(subnet)[0].running_mean.clone())
        return step(subnet, batch)

    monkeypatch.setattr(kind, 'val_step', noted)
    runner.train()
    assert seen and all(mean.abs().max() > 0 for mean in seen)
    for norm in norms(model):
        assert not norm.running_mean.any() and (norm.running_var == 1).all()
        assert norm.momentum == 0.1
