"""What a method may bring: a sampler that learns, a step with parameters and an optimizer."""

import copy
import json
from types import SimpleNamespace

import extension.toy_method  # noqa: F401
import pytest
import torch
from helpers import build_runner, differences, joint_config
from mmengine.optim import OptimWrapper
from refusals import raises_naming

from mdl_nas_mm.engine.amp import use_amp
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.engine.step import Step

TOY = {
    'train_cfg.sampler': dict(type='CuriousSampler'),
    'train_cfg.step': dict(
        type='WeighedStep',
        param_scheduler=[dict(type='LinearLR', by_epoch=False, start_factor=0.5, end=4)],
    ),
    'train_cfg.max_iters': 4,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.logger.interval': 1,
    # Of the last step alone, not of the last ten.
    'log_processor': dict(window_size=1),
}


def toy(data, changes=None):
    cfg = joint_config(data, changes={**TOY, **(changes or {})})
    cfg.val_cfg = None
    return cfg


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory, quick_mmengine):
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp('whole')
    build_runner(toy(data), folder).train()
    return folder


def test_its_own_parameters_are_trained_by_their_own_optimizer(data, whole, tmp_path):
    method = read_checkpoint(whole / 'iter_4.pth')['method']
    assert set(method) == {'sampler', 'step', 'optimizer', 'schedules'}
    assert set(method['step']) == {'logits', 'steps'}
    assert method['step']['steps'] == 4
    assert set(method['optimizer']['state']) == {'logits'}
    assert method['optimizer']['settings']['logits']['initial_lr'] == 0.05
    assert all(value > 0 for value in method['sampler']['sums'].values())
    before = build_runner(toy(data), tmp_path).train_loop.step.logits
    assert (method['step']['logits'] - before).abs().min() > 1e-3
    # Nothing of it is in the model's.
    checkpoint = read_checkpoint(whole / 'iter_4.pth')
    assert all(name.startswith(('backbone.', 'tasks.')) for name in checkpoint['state_dict'])
    assert not {'logits', 'steps'} & set(checkpoint['optimizer']['settings'])


def rates(folder):
    """Step -> the logged rate of the method's own optimizer."""
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, log.read_text().splitlines())
    return {line['step']: line['step_lr'] for line in lines}


def test_the_rate_of_its_own_optimizer_is_scheduled_and_logged(data, whole, tmp_path):
    expected = {1: 0.025, 2: 0.05 * (0.5 + 0.5 / 3), 3: 0.05 * (0.5 + 1 / 3), 4: 0.05}
    assert rates(whole) == pytest.approx(expected)
    changes = {'resume': True, 'load_from': str(whole / 'iter_2.pth')}
    build_runner(toy(data, changes), tmp_path).train()
    assert rates(tmp_path) == pytest.approx({step: expected[step] for step in (3, 4)})
    ours, theirs = (
        read_checkpoint(folder / 'iter_4.pth')['method'] for folder in (tmp_path, whole)
    )
    assert differences(ours, theirs) == []


def test_its_own_parameters_learn_alike_from_passes_in_bfloat16(data, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)

    def trained(folder, changes=None):
        cfg = toy(data, changes)
        use_amp(cfg)
        build_runner(cfg, folder).train()
        return read_checkpoint(folder / 'iter_4.pth')['method']

    mixed = trained(tmp_path / 'mixed')
    ours, theirs = mixed['step']['logits'], read_checkpoint(whole / 'iter_4.pth')['method']['step']
    assert ours.dtype == torch.float32 and not torch.equal(ours, theirs['logits'])
    torch.testing.assert_close(ours, theirs['logits'], rtol=0, atol=5e-3)
    changes = {'resume': True, 'load_from': str(tmp_path / 'mixed' / 'iter_2.pth')}
    assert differences(trained(tmp_path / 'resumed', changes), mixed) == []


@pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'), reason='this torch scales losses on GPUs alone'
)
def test_its_own_optimizer_heeds_the_loss_scale():
    step = Step({}, optim_wrapper={})
    step.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    step.optim_wrapper = OptimWrapper(torch.optim.SGD(step.parameters(), lr=0.25))
    model = torch.nn.Parameter(torch.zeros(2))
    optimizer, scaler = torch.optim.SGD([model], lr=1.0), torch.amp.GradScaler('cpu', 1024.0)
    # Of the square: each halves. 1e38 overflows behind the scale, and the scale is halved.
    for factor, weight, scale in ((1.0, [0.5, 1.0], 1024), (1e38, [0.5, 1.0], 512)):
        scaler.scale(factor * step.weight.square().sum() + model.sum()).backward()
        step.update_own(scaler)
        assert step.weight.tolist() == weight and step.weight.grad is None
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert scaler.get_scale() == scale
    assert model.tolist() == [-2.0, -2.0]


def test_a_checkpoint_of_other_schedules_is_refused(data, whole, tmp_path):
    changes = {'resume': True, 'load_from': str(whole / 'iter_2.pth')}
    cfg = toy(data, {**changes, 'train_cfg.step': dict(type='WeighedStep')})
    with raises_naming(ValueError, 'train_cfg.step.param_scheduler', 'method.schedules'):
        build_runner(cfg, tmp_path).train()


def test_evaluation_needs_nothing_of_the_method(data, whole):
    cfg = copy.deepcopy(build_runner(joint_config(data), whole / 'other').cfg)
    model = load_supernet(cfg, whole / 'iter_4.pth')
    state = read_checkpoint(whole / 'iter_4.pth')['state_dict']
    assert differences(dict(model.state_dict()), dict(state)) == []


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'train_cfg.step': None}, 'method.step'),
        ({'train_cfg.sampler': None}, 'method.sampler'),
    ],
    ids=['step', 'sampler'],
)
def test_another_method_is_refused_when_resumed(data, whole, tmp_path, changes, named):
    cfg = toy(data, {**changes, 'resume': True, 'load_from': str(whole / 'iter_2.pth')})
    with raises_naming(ValueError, whole / 'iter_2.pth', 'train_cfg', named):
        build_runner(cfg, tmp_path).train()


@pytest.mark.parametrize(
    ('key', 'value', 'named'),
    [
        ('sampler', dict(type='Nobody'), ('train_cfg.sampler', "'Nobody'")),
        ('step', dict(freeze_rest=False), ('train_cfg.step: ', 'type')),
        ('step', dict(type='JointStep', freezes=True), ('train_cfg.step.freezes',)),
        ('sampler', dict(type='SandwichSampler', seed=3), ('train_cfg.sampler.seed',)),
        (
            'step',
            dict(type='JointStep', optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0))),
            ('JointStep', 'optim_wrapper'),
        ),
        (
            'step',
            dict(type='WeighedStep', param_scheduler=dict(type='LinearLR', end=4)),
            ('train_cfg.step.param_scheduler[0]',),
        ),
        (
            'step',
            dict(type='JointStep', param_scheduler=[dict(type='LinearLR', by_epoch=False)]),
            ('JointStep', 'param_scheduler'),
        ),
        (
            'step',
            dict(type='WeighedStep', optim_wrapper=dict(type='AmpOptimWrapper', optimizer={})),
            ('train_cfg.step.optim_wrapper.type', "'AmpOptimWrapper'"),
        ),
    ],
)
def test_mistakes_are_named(data, tmp_path, key, value, named):
    with raises_naming(ValueError, *named):
        build_runner(toy(data, {f'train_cfg.{key}': value}), tmp_path).train()


def test_each_schedule_goes_on_also_where_an_update_is_skipped():
    step = Step({})
    step.own = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    step.optim_wrapper = OptimWrapper(torch.optim.SGD([step.own], lr=1.0))
    steps = []
    step.schedules = [SimpleNamespace(step=lambda i=i: steps.append(i)) for i in range(2)]
    scaler = SimpleNamespace(unscale_=lambda optimizer: step.own.grad.div_(4))
    for gradient, expected in (([float('inf'), 4.0], [1.0, 2.0]), ([2.0, 4.0], [0.5, 1.0])):
        step.own.grad = torch.tensor(gradient)
        step.update_own(scaler)
        assert step.own.tolist() == expected
    assert steps == [0, 1, 0, 1]
