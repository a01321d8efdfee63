"""A new task on a trained supernet: what is trained, what is frozen, what is stored."""

import copy

import pytest
import torch
from helpers import build_runner, differences
from new_tasks import (
    architectures,
    base_config,
    new_config,
    policies_and_backbones,
    train_base,
)
from refusals import raises_naming

from mdl_nas_mm.engine import loops
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint, resume_from
from mdl_nas_mm.spec import footprint
from mdl_nas_mm.tasks import resolve_joint_config


@pytest.fixture(scope='module')
def supernet(data, tmp_path_factory, quick_mmengine):
    """(sharing, backbone) -> path of a trained supernet; each made once."""
    known = {}

    def make(sharing='Sequential', backbone='ViT'):
        key = (str(sharing), backbone)
        if key not in known:
            folder = tmp_path_factory.mktemp('base')
            known[key] = train_base(base_config(data, sharing, backbone), folder)
        return known[key]

    return make


def train(cfg, folder):
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(folder)
    resume_from(cfg, 'auto')
    runner = build_runner(cfg, folder)
    runner.train()
    return runner


def moved(model, base):
    """Names of the backbone's parameters that are not the base's any more."""
    state = read_checkpoint(base)['state_dict']
    return {
        name
        for name, parameter in model.named_parameters()
        if name.startswith('backbone.')
        and not torch.equal(parameter, state[name.replace('.specific.more.', '.specific.cls.')])
    }


@policies_and_backbones
def test_own_weights_and_head_are_trained_and_nothing_else(
    data, supernet, sharing, backbone, tmp_path
):
    base, joint = supernet(sharing, backbone), architectures(backbone)
    # Momentum and decay would move a weight that has a gradient of zero.
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)
    changes = {'optim_wrapper.optimizer': optimizer}
    cfg = new_config(data, base, joint, backbone=backbone, changes=changes)
    runner = train(cfg, tmp_path)
    model = runner.model
    changed = moved(model, base)
    passes = [('more', joint['cls'])]
    used = footprint(model.backbone.ledger(), passes)
    expected = {
        f'backbone.{k}' for (k, _), rows in used.items() if '.specific.' in k and rows.any()
    }
    assert changed == expected
    frozen = model.frozen()
    assert set(frozen) == {n for n, _ in model.named_parameters() if n.startswith('backbone.')} - {
        name for name, _ in model.named_parameters() if '.specific.more.' in name
    }
    state = {id(p) for p in runner.optim_wrapper.optimizer.state}
    for name, parameter in model.named_parameters():
        if name in frozen:
            assert parameter.grad is None and id(parameter) not in state, name
    checkpoint = read_checkpoint(tmp_path / 'iter_4.pth')
    assert not set(checkpoint['state_dict']) & set(frozen)
    assert set(checkpoint['state_dict']) == set(model.state_dict()) - set(frozen)
    loaded = load_supernet(runner.cfg, tmp_path / 'iter_4.pth')
    assert differences(dict(loaded.state_dict()), dict(model.state_dict())) == []


@pytest.mark.parametrize(
    ('trained', 'kinds'),
    [
        ('head', set()),
        ('specific', {'specific'}),
        ('scores', {'specific', 'score'}),
        ('all', {'specific', 'score', 'shared'}),
    ],
)
def test_what_is_trained_can_be_chosen(data, supernet, trained, kinds, tmp_path):
    base = supernet('Mask')
    cfg = new_config(data, base, architectures(), changes=dict(trained=trained))
    runner = train(cfg, tmp_path)
    found = set()
    for name in moved(runner.model, base):
        kind = 'specific' if '.specific.' in name else 'shared'
        found.add('score' if name.endswith('.score') else kind)
    assert found == kinds
    loaded = load_supernet(runner.cfg, tmp_path / 'iter_4.pth')
    assert differences(dict(loaded.state_dict()), dict(runner.model.state_dict())) == []


@pytest.mark.parametrize('trained', ['specific', 'scores'])
def test_resumed_training_ends_like_the_uninterrupted(data, supernet, trained, tmp_path):
    ema = [dict(type='EMAHook')]
    changes = {'trained': trained, 'custom_hooks': ema, 'default_hooks.checkpoint.interval': 2}
    cfg = new_config(data, supernet('Mask'), architectures(), changes=changes)
    train(cfg, tmp_path / 'whole')
    step = loops.train_step

    def killed(method, passes, specs):
        if passes.iteration == 3:
            raise KeyboardInterrupt
        return step(method, passes, specs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loops, 'train_step', killed)
        train(cfg, tmp_path / 'resumed')
    train(cfg, tmp_path / 'resumed')
    first, second = (
        read_checkpoint(tmp_path / name / 'iter_4.pth') for name in ('whole', 'resumed')
    )
    for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert differences(first[key], second[key]) == []
    assert not any('specific' not in k and 'backbone' in k for k in first['ema_state_dict']) or (
        trained == 'scores'
    )


def test_validation_takes_the_frozen_weights_from_the_base(data, supernet, tmp_path):
    """As ``tools/test.py`` does, which initialises nothing."""
    cfg = new_config(data, supernet(), architectures())
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.train_cfg.val_interval = 4
    runner = train(cfg, tmp_path)
    expected = runner.message_hub.get_scalar('val/more/accuracy/top1').current()
    cfg.load_from = str(tmp_path / 'iter_4.pth')
    again = build_runner(cfg, tmp_path / 'val')
    assert again.val()['more/accuracy/top1'] == expected
    assert moved(again.model, supernet()) == moved(runner.model, supernet())


def test_a_leak_is_found_when_the_checkpoint_is_loaded(data, supernet, tmp_path, monkeypatch):
    """A frozen weight that decays in training: the base no longer has what was trained beside."""
    cfg = new_config(data, supernet(), architectures())
    step = loops.train_step

    def leaking(method, passes, specs):
        with torch.no_grad():
            passes.model.backbone.norm.weight.mul_(0.999)
        return step(method, passes, specs)

    monkeypatch.setattr(loops, 'train_step', leaking)
    runner = train(cfg, tmp_path)
    with raises_naming(ValueError, tmp_path / 'iter_4.pth', f'base {supernet()}'):
        load_supernet(runner.cfg, tmp_path / 'iter_4.pth')


def test_another_base_is_refused(data, supernet, tmp_path):
    cfg = new_config(data, supernet(), architectures())
    runner = train(cfg, tmp_path)
    other = base_config(data)
    other.randomness = dict(seed=1)
    cfg = runner.cfg
    cfg.model.backbone.init_cfg.path = str(train_base(other, tmp_path / 'other'))
    with raises_naming(ValueError, tmp_path / 'iter_4.pth', 'base '):
        load_supernet(cfg, tmp_path / 'iter_4.pth')


def test_an_architecture_of_its_own(data, supernet, tmp_path):
    joint = architectures()
    own = type(joint)(dict(more=joint['seg']))
    cfg = new_config(data, supernet(), own)
    assert resolve_joint_config(cfg).joint_spec == own.to_dict()
    changed = moved(train(cfg, tmp_path).model, supernet())
    assert any('blocks.1.' in name for name in changed)


def test_base_that_fixed_its_architectures_needs_no_joint_spec(data, tmp_path):
    cfg = base_config(data)
    cfg.train_cfg.pop('sampler')
    cfg.pop('search_cfg')
    cfg.joint_spec = architectures().to_dict()
    base = train_base(cfg, tmp_path)
    found = resolve_joint_config(new_config(data, base, None)).joint_spec
    assert found == dict(more=architectures()['cls'].to_dict())
