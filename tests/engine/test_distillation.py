"""Distillation between the subnets of a step: what is captured, compared, and learned from."""

import pytest
import torch
from helpers import TASKS, WIDTH, build_model, build_runner, joint_config, plan_alone
from mmengine.optim import OptimWrapper
from refusals import assert_names, raises_naming
from torch.nn import functional as F

from mdl_nas_mm.engine.distillation import (
    Captured,
    ChannelMeanLoss,
    Distillation,
    SoftTargetLoss,
    capture,
)
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.settings import check_settings
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

BOTH = dict(
    features=dict(type='ChannelMeanLoss', loss_weight=2.0),
    logits=dict(type='SoftTargetLoss', temperature=2.0),
    tasks=('cls', 'seg'),
)


@pytest.fixture
def passes(data):
    """The passes of one step over all tasks."""
    cfg = joint_config(data)
    model = build_model(cfg).train()
    cfg = resolve_joint_config(cfg)
    batches = {
        task: [next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))]
        for task, info in cfg.tasks.items()
    }
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    return Passes(model, wrapper, batches, plan_alone(dict.fromkeys(TASKS, 1.0), 0), 0)


def test_features_without_padding_and_logits_are_captured(passes):
    model = passes.model
    spec = model.backbone.space.smallest()
    (width,) = {stage.embed_dim for stage in spec.stages}
    whole = []
    for batch in passes.batches():
        (task,) = batch.tasks
        hook = model.backbone.register_forward_hook(lambda m, args, out: whole.append(out))
        with passes.prepared(batch) as data:
            with capture(model, task, spec) as captured:
                passes.forward(task, spec, data[task])
            hook.remove()
            count = len(whole)
            passes.forward(task, spec, data[task])
        assert len(whole) == count and captured.features
        for own, padded in zip(captured.features, whole[-1], strict=True):
            assert own.shape[1] == width < padded.shape[1]
            assert torch.equal(own, padded[:, :width]) and not padded[:, width:].any()
        assert captured.logits and all(x.requires_grad for x in captured.logits)
        targets = captured.detached()
        assert not any(x.requires_grad for x in (*targets.features, *targets.logits))
        # Hooks do not outlive the block.
        assert not model.backbone._forward_hooks
    assert [len(x) for x in whole] == [1, 1, 2]


def test_channel_mean_of_different_widths():
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    expected = (student.mean(1) - teacher.mean(1)).square().mean()
    torch.testing.assert_close(ChannelMeanLoss(3.0)(student, teacher), 3 * expected)
    assert ChannelMeanLoss()(teacher[:, :1], teacher[:, [0, 0]]) == 0


def test_soft_targets():
    student, teacher = torch.randn(6, 4), torch.randn(6, 4)
    expected = F.kl_div(
        (student / 2).log_softmax(1), (teacher / 2).softmax(1), reduction='batchmean'
    )
    loss = SoftTargetLoss(2.0, 0.5)
    torch.testing.assert_close(loss(student, teacher), 0.5 * 4 * expected)
    maps = loss(*(x.view(2, 3, 1, 4).permute(0, 3, 1, 2) for x in (student, teacher)))
    torch.testing.assert_close(maps, loss(student, teacher))
    assert loss(teacher, teacher).abs() < 1e-6


def test_levels_and_logits_count_as_their_mean():
    """Of maps of two levels, and of the logits of a head and an auxiliary one."""
    torch.manual_seed(0)
    maps = [[torch.randn(2, 3, side, side) for side in (8, 4)] for _ in range(2)]
    logits = [[torch.randn(2, 5, 4, 4) for _ in range(2)] for _ in range(2)]
    found = Distillation(**BOTH)('seg', *map(Captured, maps, logits))
    levels = [2 * F.mse_loss(a.mean(1), b.mean(1)) for a, b in zip(*maps)]
    assert found['distill_features'].item() == pytest.approx(sum(levels).item() / 2)
    heads = [
        4 * F.kl_div((a / 2).log_softmax(1), (b / 2).softmax(1), reduction='sum') / 32
        for a, b in zip(*logits)
    ]
    assert found['distill_logits'].item() == pytest.approx(sum(heads).item() / 2, rel=1e-5)


def test_logits_that_cannot_be_compared_are_named():
    distillation = Distillation(logits=dict(type='SoftTargetLoss'))
    own, target = Captured(logits=[torch.zeros(4, 2)]), Captured(logits=[torch.zeros(5, 2)])
    with raises_naming(ValueError, "'det'", '(4, 2)', '(5, 2)', 'distill.tasks'):
        distillation('det', own, target)
    with raises_naming(ValueError, 'distill', 'features', 'logits'):
        Distillation()


def test_a_task_that_there_is_not_is_refused(data, tmp_path):
    with raises_naming(ValueError, 'distill.tasks', "'pose'", 'cls'):
        build_runner(training(data, dict(BOTH, tasks=['cls', 'pose'])), tmp_path).train()


def test_settings_that_there_are_not_are_refused():
    spaces = dict(cls=None)
    for distill, names in (
        (dict(BOTH, task=['cls']), ("'task'", 'distill', 'tasks')),
        ('features', ("'features'", 'distill')),
    ):
        with raises_naming(ValueError, *names):
            JointStep(spaces, distill=distill)


def training(data, distill, sharing='Sequential'):
    step = dict(type='JointStep', distill=distill)
    changes = {'train_cfg.step': step, 'train_cfg.max_iters': 2, 'default_hooks.logger.interval': 1}
    cfg = joint_config(data, sharing, changes)
    cfg.val_cfg = None
    return cfg


def sizes_trained(cfg, folder, monkeypatch):
    """Widths of the subnets of all passes of a training, in their order."""
    runner = build_runner(cfg, folder)
    seen, model, loss = [], runner.model, type(runner.model).loss
    monkeypatch.setattr(model, 'loss', lambda *args: seen.append(args[1]) or loss(model, *args))
    runner.train()
    return [spec.stages[0].embed_dim for spec in seen]


@pytest.mark.parametrize('sampler', ['SandwichSampler', 'LargestFirstSampler'])
@pytest.mark.parametrize('step', ['JointStep', 'ECMTStep'])
def test_the_largest_teaches_whatever_the_order(data, tmp_path, step, sampler, monkeypatch):
    cfg = training(data, BOTH)
    cfg.train_cfg.max_iters, cfg.train_cfg.sampler = 1, dict(type=sampler)
    if step == 'ECMTStep':
        cfg.train_cfg.step, cfg.recalibrate_images = dict(type=step), 4
    assert sizes_trained(cfg, tmp_path, monkeypatch)[::4] == [WIDTH] * len(TASKS)


def test_where_the_largest_is_not_trained_nobody_teaches(data, tmp_path):
    cfg = training(data, BOTH)
    cfg.train_cfg.sampler = dict(type='UniformSampler', num_random=2)
    for step in (cfg.train_cfg.step, dict(type='ECMTStep')):
        cfg.train_cfg.step = step
        with raises_naming(ValueError, 'train_cfg.step', 'UniformSampler', 'SandwichSampler'):
            check_settings(resolve_joint_config(cfg))
    cfg.train_cfg.step = dict(type='ECMTStep', kd_weight=0)
    check_settings(resolve_joint_config(cfg))


def said(cfg):
    """What the log says of distillation before a training."""
    return [line for line in check_settings(resolve_joint_config(cfg)) if 'distill' in line]


@pytest.mark.parametrize('how', ['joint_spec', 'space', 'sampler'])
def test_who_has_nobody_to_learn_from_is_said(data, how):
    cfg = training(data, BOTH)
    cfg.train_cfg.pop('sampler')
    assert said(cfg) == []
    one = dict(embed_dim=16, depth=1, num_heads=1, mlp_ratio=1)
    if how == 'joint_spec':
        cfg.pop('search_cfg')
        cfg.joint_spec = dict.fromkeys(TASKS, dict(one, attn_share_ratio=0.3, ffn_share_ratio=0.3))
    elif how == 'space':
        cfg.backbone.space = dict(one, share_ratio=(0.3, 0.6))
    else:
        cfg.train_cfg.sampler = dict(type='FixedSampler')
    (line,) = said(cfg)
    assert_names(line, 'train_cfg.step.distill')


def test_the_joint_step_distils_and_logs_it(data, tmp_path, monkeypatch):
    runner = build_runner(training(data, BOTH), tmp_path / 'both')
    seen, loss = [], type(runner.model).loss
    model = runner.model
    monkeypatch.setattr(model, 'loss', lambda *args: seen.append(args[1]) or loss(model, *args))
    runner.train()
    sizes = [spec.stages[0].embed_dim for spec in seen]
    space = model.backbone.space
    assert sizes[0::2] == [space.largest().stages[0].embed_dim] * 6
    assert sizes[1::2] == [space.smallest().stages[0].embed_dim] * 6
    logged = runner.message_hub.log_scalars
    for task in TASKS:
        for name in ('features', 'logits'):
            key = f'train/{task}/distill_{name}'
            assert (key in logged) == (task != 'det')
    assert logged['train/cls/distill_features'].current() > 0
    assert 'train/cls/loss' in logged
    plain = build_runner(training(data, None), tmp_path / 'plain')
    plain.train()
    moved = [
        not torch.equal(value, plain.model.state_dict()[key])
        for key, value in model.state_dict().items()
    ]
    assert any(moved)
