"""The three stages of a sub-task: what is trained, what stays, and how a training goes on."""

import pytest
import torch
from helpers import build_runner, differences
from new_tasks import base_config
from refusals import raises_naming
from sub_tasks import base_deposit, fixed, gated, own_of, sub_task, train

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.methods.computation_sharing import (
    difference_between,
    fix_places,
    linear_layers,
    load_difference,
    save_difference,
)
from mdl_nas_mm.spec.owners import read_name


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    return base_deposit(data, tmp_path_factory.mktemp('base'))


@pytest.fixture(scope='module')
def first(data, base, tmp_path_factory):
    """The folder of a first stage."""
    folder = tmp_path_factory.mktemp('gates')
    train(sub_task(data, base, gated()), folder)
    return folder


@pytest.fixture(scope='module')
def places(first, tmp_path_factory):
    """The file that the second stage starts from."""
    path = tmp_path_factory.mktemp('places') / 'difference.safetensors'
    state = read_checkpoint(first / 'iter_4.pth')['method']['step']
    save_difference(path, fix_places(state, 0.2))
    return path


@pytest.fixture(scope='module')
def second(data, base, first, places, tmp_path_factory):
    """The folder of a second stage."""
    folder = tmp_path_factory.mktemp('fixed')
    train(sub_task(data, base, fixed(places), {'load_from': str(first / 'iter_4.pth')}), folder)
    return folder


def plain_weights(checkpoint):
    """The task's own weights, under the names that a plain backbone has."""
    own = own_of(checkpoint)
    return {read_name(n).plain.removeprefix('backbone.'): w for n, w in own.items()}


def change_of(checkpoint, base):
    """Name -> what a checkpoint has of the own weights beside the base's."""
    start = Deposit(base).backbone_weights('cls')
    weights = plain_weights(checkpoint)
    shapes = {name: start[name].shape for name in weights if start[name].shape[1] > 1}
    used = {n: _used(weights[n], *shapes[n], groups=3 if 'qkv' in n else 1) for n in shapes}
    return difference_between(start, used, shapes)


def _used(weight, rows, columns, groups):
    grouped = weight.view(groups, -1, weight.shape[1])
    return grouped[:, : rows // groups, :columns].reshape(rows, columns)


def test_gates_are_trained_and_the_base_is_not(data, base, first):
    checkpoint = read_checkpoint(first / 'iter_4.pth')
    state = checkpoint['method']['step']
    grains = {name.rpartition('.')[2] for name in state if name.startswith('gates.')}
    assert grains == {'elements', 'layers'}
    assert all(v.abs().max() > 0 for name, v in state.items() if name.startswith('differences.'))
    assert all((state[name] - 5).abs().max() > 0.1 for name in state if '.elements' in name)
    assert change_of(checkpoint, base).density > 0.5
    # Biases, which are the task's own as well, are the base's.
    start = Deposit(base).backbone_weights('cls')
    for name, own in plain_weights(checkpoint).items():
        if name.endswith('.bias'):
            groups = 3 if 'qkv' in name else 1
            found = _used(own[:, None], *start[name].shape, groups=groups)
            assert torch.equal(found, start[name]), name


def test_weights_are_the_base_and_the_difference(base, first):
    """Gates are those without chance: what is evaluated and stored has nothing random."""
    checkpoint = read_checkpoint(first / 'iter_4.pth')
    state = checkpoint['method']['step']
    found = change_of(checkpoint, base)
    expected = fix_places(state)
    for name, each in expected.weights.items():
        torch.testing.assert_close(
            found.weights[name].dense(), each.dense(), rtol=1e-5, atol=1e-6, msg=name
        )


def test_density_falls_as_lambda_grows(data, base, tmp_path):
    found = []
    for i, lambda_w in enumerate((0.0, 3e-5, 1e-2)):
        cfg = sub_task(data, base, gated(lambda_w=lambda_w), {'train_cfg.max_iters': 25})
        cfg.default_hooks.checkpoint.interval = 25
        state = train(cfg, tmp_path / str(i))['method']['step']
        found.append(fix_places(state).density)
    assert found[0] > found[1] > found[2]


def test_a_wanted_density_is_reached(data, base, tmp_path):
    step = gated(density=0.3, ramp=40)
    cfg = sub_task(data, base, step, {'train_cfg.max_iters': 60})
    cfg.default_hooks.checkpoint.interval = 60
    cfg.train_cfg.step.optim_wrapper.paramwise_cfg.custom_keys.gates.lr_mult = 10
    runner = build_runner(cfg, tmp_path)
    runner.train()
    assert runner.train_loop.step.expected_density().item() == pytest.approx(0.3, abs=0.1)
    assert runner.message_hub.get_scalar('train/more/density').current() < 0.5


@pytest.mark.parametrize('gates', [('rows',), ('rows', 'layers')], ids=str)
def test_gates_of_rows_leave_whole_rows(data, base, tmp_path, gates):
    cfg = sub_task(data, base, gated(lambda_w=1e-4, gates=gates))
    state = train(cfg, tmp_path)['method']['step']
    for by in ('gate', 'size'):
        found = fix_places(state, 0.25, by)
        assert 0.2 < found.density <= 0.25
        for each in found.weights.values():
            counts = (each.dense() != 0).sum(1)
            assert set(counts.tolist()) <= {0, each.shape[1]}


def test_places_are_fixed_by_gate_or_size(first):
    state = read_checkpoint(first / 'iter_4.pth')['method']['step']
    by_gate, by_size = (fix_places(state, 0.2, by) for by in ('gate', 'size'))
    assert by_gate.density == pytest.approx(0.2, abs=0.01)
    assert by_size.density == pytest.approx(0.2, abs=0.01)
    kept = torch.cat([each.values.abs() for each in by_size.weights.values()])
    everything = torch.cat([each.values.abs() for each in fix_places(state, 1).weights.values()])
    assert kept.min() >= everything.sort(descending=True).values[len(kept) - 1]
    again = fix_places(state, 0.2)
    assert all(
        torch.equal(again.weights[n].indices, each.indices) for n, each in by_gate.weights.items()
    )
    for density in (0, 1.01, -1, 'all'):
        with raises_naming(ValueError, 'density', repr(density)):
            fix_places(state, density)
    with raises_naming(ValueError, 'places.by', "'luck'"):
        fix_places(state, 0.2, 'luck')


def test_a_density_of_hundredths_keeps_all_of_them():
    values = 1 + torch.arange(100.0).view(10, 10)
    state = {'differences.layer': values, 'gates.layer.elements': torch.full((10, 10), 9.0)}
    for percent in range(1, 101):
        assert len(fix_places(state, percent / 100, 'size').weights['layer'].values) == percent


@pytest.mark.parametrize('activations', [None, dict(coefficient=1e-3)], ids=['second', 'third'])
def test_places_stay_and_values_move(data, base, first, places, second, tmp_path, activations):
    begin, checkpoint = load_difference(places), read_checkpoint(second / 'iter_4.pth')
    if activations:
        changes = {'load_from': str(first / 'iter_4.pth')}
        step = fixed(places, activations=activations)
        checkpoint = train(sub_task(data, base, step, changes), tmp_path)
    state, change = checkpoint['method']['step'], change_of(checkpoint, base)
    for name, each in begin.weights.items():
        found = change.weights[name]
        key = name.replace('.', '/')
        if each.is_zero:
            assert found.is_zero
            continue
        assert torch.equal(state[f'places/{key}'], each.indices)
        assert (state[f'values.{key}'] - each.values).abs().max() > 0
        outside = torch.ones(each.size, dtype=torch.bool)
        outside[each.indices] = False
        assert not found.dense().flatten()[outside].any()


ACTIVATIONS = dict(coefficient=1e-3)


@pytest.mark.parametrize('stage', ['gates', 'places', 'activations'])
def test_a_stage_that_was_stopped_goes_on_as_if_it_had_not(
    data, base, first, places, second, tmp_path, stage
):
    if stage == 'gates':
        step, whole, load = gated(), first, None
    else:
        extra = dict(activations=ACTIVATIONS) if stage == 'activations' else {}
        step, load = fixed(places, **extra), str(first / 'iter_4.pth')
        whole = second
        if extra:
            whole = tmp_path / 'whole'
            train(sub_task(data, base, step, {'load_from': load}), whole)
    changes = {'resume': True, 'load_from': str(whole / 'iter_2.pth')}
    ours = train(sub_task(data, base, step, changes), tmp_path / 'resumed')
    theirs = read_checkpoint(whole / 'iter_4.pth')
    for key in ('state_dict', 'optimizer', 'method'):
        assert differences(ours[key], theirs[key]) == [], key


def test_activations_come_nearer_to_those_of_the_base(data, base, first, places, tmp_path):
    found = {}
    for coefficient in (0.0, 3e-2):
        step = fixed(places, activations=dict(coefficient=coefficient))
        changes = {'load_from': str(first / 'iter_4.pth'), 'train_cfg.max_iters': 12}
        cfg = sub_task(data, base, step, changes)
        cfg.default_hooks.checkpoint.interval = 12
        checkpoint = train(cfg, tmp_path / str(coefficient))
        values = torch.cat(
            [v for n, v in checkpoint['method']['step'].items() if n.startswith('values.')]
        )
        found[coefficient] = float(values.abs().sum())
    assert found[3e-2] < 0.8 * found[0.0]


def test_images_that_are_no_clips_are_refused_before_the_first_step(data, base, places, tmp_path):
    frames = dict(coefficient=1e-3, first=-1, last=1)
    cfg = sub_task(data, base, fixed(places, frames=frames), {'train_cfg.dry_run': True})
    runner = build_runner(cfg, tmp_path)
    with raises_naming(ValueError, "'more'", 'clip_length=3', 'clip_after=1', 'LoadClip'):
        runner.train()
    assert runner.iter == 0


def test_a_dry_run_changes_nothing(data, base, first, places, second, tmp_path):
    changes = {'load_from': str(first / 'iter_4.pth'), 'train_cfg.dry_run': True}
    dry = train(sub_task(data, base, fixed(places), changes), tmp_path)
    for key in ('state_dict', 'optimizer', 'method'):
        assert differences(dry[key], read_checkpoint(second / 'iter_4.pth')[key]) == [], key


def test_norms_and_biases_are_trained_where_that_is_said(data, tmp_path):
    """Of a base that has norms of its own."""
    base = base_deposit(data, tmp_path / 'base', 'AllSpecific')
    start = Deposit(base).backbone_weights('cls')
    for trained in (False, True):
        step = gated(lambda_w=1e-4, norms_and_biases=trained)
        checkpoint = train(sub_task(data, base, step), tmp_path / str(trained))
        others = {n: w for n, w in plain_weights(checkpoint).items() if start[n].shape[1] == 1}
        kinds = {'norm' if 'norm' in name else 'bias' for name in others}
        assert kinds == {'norm', 'bias'}
        for name, own in others.items():
            groups = 3 if 'qkv' in name else 1
            found = _used(own.reshape(-1, 1), *start[name].shape, groups=groups)
            assert torch.equal(found, start[name]) != trained, name


@pytest.mark.parametrize('stage', ['gates', 'activations'])
def test_mixed_precision_is_near_to_float32(data, base, first, places, tmp_path, stage):
    """Differences, gates and their optimizer stay in float32; the backbone is in bfloat16."""
    step = gated() if stage == 'gates' else fixed(places, activations=ACTIVATIONS)
    found = {}
    for wrapper in ('OptimWrapper', 'CPUAmpOptimWrapper'):
        cfg = sub_task(data, base, step, {'optim_wrapper.type': wrapper})
        if stage == 'activations':
            cfg.load_from = str(first / 'iter_4.pth')
        state = train(cfg, tmp_path / wrapper)['method']['step']
        key = 'differences.' if stage == 'gates' else 'values.'
        found[wrapper] = torch.cat([v.flatten() for n, v in state.items() if n.startswith(key)])
    plain, half = found.values()
    assert half.dtype == torch.float32 and not torch.equal(plain, half)
    assert torch.cosine_similarity(plain, half, dim=0) > 0.9


def test_swin_is_trained_alike(data, tmp_path):
    base = base_deposit(data, tmp_path / 'base', backbone='Swin')
    changes = {'train_cfg.max_iters': 2}
    cfg = sub_task(data, base, gated(), changes, backbone='Swin')
    found = fix_places(train(cfg, tmp_path / 'gates')['method']['step'], 0.2)
    layers = linear_layers(Deposit(base).load_task('cls').backbone)
    assert set(found.weights) == {f'{name}.weight' for name in layers}
    assert 0.1 < found.density <= 0.2
    path = tmp_path / 'difference.safetensors'
    save_difference(path, found)
    step = fixed(path, activations=dict(coefficient=1e-3, grain='tokens'))
    cfg = sub_task(data, base, step, changes, backbone='Swin')
    checkpoint = train(cfg, tmp_path / 'fixed')
    for name, each in load_difference(path).weights.items():
        if not each.is_zero:
            places = checkpoint['method']['step'][f'places/{name.replace(".", "/")}']
            assert torch.equal(places, each.indices)


def test_a_base_that_shares_its_weights_is_refused(data, tmp_path):
    base = base_deposit(data, tmp_path, 'AllShared')
    with raises_naming(ValueError, "'more'", 'blocks.0.attn.qkv.weight'):
        build_runner(sub_task(data, base, gated()), tmp_path / 'work').train()


def test_a_difference_of_another_architecture_is_refused(data, base, places, tmp_path):
    difference = load_difference(places)
    name = next(iter(difference.weights))
    weights = {n: each for n, each in difference.weights.items() if n != name}
    path = tmp_path / 'less.safetensors'
    save_difference(path, type(difference)(weights))
    with raises_naming(ValueError, str(path), name):
        build_runner(sub_task(data, base, fixed(path)), tmp_path / 'work').train()
    with raises_naming(FileNotFoundError, 'nowhere.safetensors'):
        build_runner(sub_task(data, base, fixed('nowhere.safetensors')), tmp_path / 'w').train()


def test_a_training_without_a_base_is_refused(data, tmp_path):
    cfg = base_config(data)
    cfg.train_cfg.step = gated()
    with raises_naming(ValueError, 'train_cfg.step', "'base'"):
        build_runner(cfg, tmp_path).train()
