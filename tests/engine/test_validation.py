"""Every task is evaluated with its upstream evaluator, under its own names."""

import json

import pytest
import torch
from helpers import TASKS, build_runner, call_tool, joint_config, only, write_config
from mmengine.hooks import EMAHook
from refusals import raises_naming

from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import MultiTaskModel, choose_joint_spec


@pytest.fixture
def seen(monkeypatch):
    """The (task, architecture) of every subnet whose weights are put together."""
    calls, subnet = [], MultiTaskModel.subnet

    def recording(self, task, spec):
        calls.append((task, spec))
        return subnet(self, task, spec)

    monkeypatch.setattr(MultiTaskModel, 'subnet', recording)
    return calls


def test_metrics_are_named_by_task(data, tmp_path, seen):
    weights = {'tasks.det.score_weight': 2.0, 'tasks.seg.score_weight': 0.5}
    runner = build_runner(joint_config(data, changes=weights), tmp_path)
    metrics = runner.val()
    expected = {'cls/accuracy/top1', 'det/coco/bbox_mAP', 'det/coco/segm_mAP', 'seg/mIoU'}
    assert expected | {'s_score', 'det/coco/bbox_mAP_50', 'seg/aAcc'} <= set(metrics)
    assert {name.split('/')[0] for name in metrics} == {*TASKS, 's_score'}
    s_score = metrics['cls/accuracy/top1'] + 0.5 * metrics['seg/mIoU']
    s_score += 2 * 100 * metrics['det/coco/bbox_mAP']
    assert metrics['s_score'] == pytest.approx(s_score)
    # Ten images each, in batches of five, by the largest architecture: once for both batches.
    assert seen == [(task, runner.model.backbone.space.largest()) for task in TASKS]


def test_single_task_metrics_give_delta_t(data, tmp_path):
    """Of a task by itself, and of all where all have some."""
    changes = {'tasks.cls.reference': 50.0, 'tasks.seg.reference': dict(mIoU=20.0, aAcc=80.0)}
    cfg = joint_config(data, changes=changes)
    metrics = build_runner(only(cfg, 'cls', 'seg'), tmp_path / 'two').val()
    cls = 100 * (metrics['cls/accuracy/top1'] - 50) / 50
    seg = [100 * (metrics[f'seg/{name}'] - v) / v for name, v in (('mIoU', 20), ('aAcc', 80))]
    assert metrics['cls/delta_t'] == pytest.approx(cls)
    assert metrics['seg/delta_t'] == pytest.approx(sum(seg) / 2)
    assert metrics['delta_t'] == pytest.approx((cls + sum(seg) / 2) / 2)
    metrics = build_runner(joint_config(data, changes=changes), tmp_path / 'three').val()
    assert 'cls/delta_t' in metrics and not {'delta_t', 'det/delta_t'} & metrics.keys()


def test_training_validates_when_it_is_due(data, tmp_path, monkeypatch):
    changes = {'train_cfg.max_iters': 5, 'train_cfg.val_interval': 2, 'train_cfg.val_begin': 3}
    cfg = joint_config(data, changes=changes)
    cfg.default_hooks.checkpoint.update(save_best='s_score', rule='greater')
    runner = build_runner(only(cfg, 'cls'), tmp_path)
    reported = []
    hook = runner.call_hook

    def call_hook(name, **kwargs):
        if name == 'after_val_epoch':
            reported.append((runner.iter, kwargs['metrics']))
        hook(name, **kwargs)

    monkeypatch.setattr(runner, 'call_hook', call_hook)
    runner.train()
    assert [iteration for iteration, _ in reported] == [4, 5]
    assert all(set(m) == {'s_score', 'cls/accuracy/top1'} for _, m in reported)
    assert len(list(tmp_path.glob('best_s_score_iter_*.pth'))) == 1


def test_a_joint_spec_says_what_is_evaluated(data, tmp_path, seen):
    cfg = joint_config(data)
    space = build_runner(cfg, tmp_path).model.backbone.space
    joint = JointSpec(dict(zip(TASKS, (space.smallest(), space.largest(0), space.smallest(0)))))
    choose_joint_spec(cfg, joint.to_dict())
    build_runner(cfg, tmp_path).val()
    assert set(seen) == set(joint.items())


def test_averaged_weights_are_what_is_evaluated(data, tmp_path, monkeypatch):
    cfg = only(joint_config(data, changes={'train_cfg.max_iters': 3}), 'cls')
    cfg.train_cfg.val_interval, cfg.custom_hooks = 3, [dict(type='EMAHook', momentum=0.5)]
    runner = build_runner(cfg, tmp_path)
    (ema,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    evaluated, subnet = [], MultiTaskModel.subnet

    def recording(self, task, spec):
        model = subnet(self, task, spec)
        evaluated.append(model.backbone.patch_embed.proj.weight.clone())
        return model

    monkeypatch.setattr(MultiTaskModel, 'subnet', recording)
    runner.train()
    averaged = ema.ema_model.module.backbone.patch_embed.proj.weight
    trained = runner.model.backbone.patch_embed.proj.weight
    assert torch.equal(evaluated[0], averaged) and not torch.equal(averaged, trained)


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (lambda d: d.pop('seg'), ('joint spec', "'seg'")),
        (
            lambda d: d['det']['stages'][0].update(embed_dim=20),
            ("'det'", 'stage 0, embed_dim', 20, '(16, 24)'),
        ),
        (
            lambda d: d['det']['stages'][0].update(attn_share_ratio=1.5),
            ('share ratio', 1.5, '[0, 1]'),
        ),
    ],
    ids=['missing task', 'outside the space', 'share ratio'],
)
def test_joint_specs_that_are_refused(data, tmp_path, seen, change, named):
    cfg = joint_config(data)
    space = build_runner(cfg, tmp_path).model.backbone.space
    joint = JointSpec(dict.fromkeys(TASKS, space.largest())).to_dict()
    change(joint)
    choose_joint_spec(cfg, joint)
    with raises_naming(ValueError, *named):
        build_runner(cfg, tmp_path).val()
    assert not seen


def test_metric_that_the_evaluator_does_not_give_is_named(data, tmp_path):
    cfg = only(joint_config(data, changes={'tasks.cls.score': 'accuracy/top5'}), 'cls')
    with raises_naming(ValueError, "'cls'", "'accuracy/top5'", ['accuracy/top1']):
        build_runner(cfg, tmp_path).val()


def test_test_tool_evaluates_what_a_search_chose(data, tmp_path, seen, monkeypatch):
    """tools/test.py, with the largest architectures and with a joint spec."""
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    runner = build_runner(cfg, tmp_path / 'train')
    runner.train()
    path = write_config(cfg, tmp_path / 'mine.py')
    arguments = [path, tmp_path / 'train' / 'iter_1.pth', '--work-dir', tmp_path / 'test']
    space = runner.model.backbone.space
    seen.clear()
    call_tool(monkeypatch, 'test', *arguments)
    assert set(seen) == {(task, space.largest()) for task in TASKS}
    joint = JointSpec(dict.fromkeys(TASKS, space.smallest()))
    (tmp_path / 'joint_spec.json').write_text(json.dumps(dict(joint_spec=joint.to_dict())))
    seen.clear()
    call_tool(monkeypatch, 'test', *arguments, '--joint-spec', tmp_path / 'joint_spec.json')
    assert set(seen) == set(joint.items())
