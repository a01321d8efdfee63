"""One command from a base to a deposit with sub-tasks; a task taken out is a plain one."""

import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import call_tool, only, read_json, write_config
from mmengine.config import Config
from new_tasks import base_config, new_config
from refusals import raises_naming
from safetensors import safe_open
from sub_tasks import OPTIMIZER, base_deposit

from mdl_nas_mm.apis import pipeline, sub_tasks
from mdl_nas_mm.apis.differences import describe_differences, difference_of
from mdl_nas_mm.apis.sub_tasks import share_computation, upstream_base
from mdl_nas_mm.deposit import Deposit, extract, remove, verify
from mdl_nas_mm.deposit.verify import largest_differences
from mdl_nas_mm.methods.computation_sharing import linear_layers, load_difference, merge
from mdl_nas_mm.methods.computation_sharing.base import SHARING as SHARED
from mdl_nas_mm.methods.computation_sharing.base import owns_its_blocks, write_base
from mdl_nas_mm.utils.files import write_json

SHARING = dict(
    density=0.3,
    gates=dict(
        train_cfg=dict(
            max_iters=3,
            step=dict(type='GatedDifference', lambda_w=1e-4, optim_wrapper=OPTIMIZER),
        )
    ),
    places=dict(
        train_cfg=dict(
            max_iters=2, step=dict(type='FixedDifference', optim_wrapper=OPTIMIZER, _delete_=True)
        )
    ),
    activations=dict(
        train_cfg=dict(
            max_iters=2,
            step=dict(
                type='FixedDifference',
                optim_wrapper=OPTIMIZER,
                activations=dict(coefficient=1e-4),
                _delete_=True,
            ),
        )
    ),
    tasks=dict(other=dict(density=0.1, activations=None)),
)


def config(data, base, backbone='ViT'):
    cfg = new_config(data, base, None, name='more', backbone=backbone)
    cfg.tasks.other = copy.deepcopy(cfg.tasks.more)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.computation_sharing = copy.deepcopy(SHARING)
    return cfg


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    return base_deposit(data, tmp_path_factory.mktemp('base'))


@pytest.fixture(scope='module')
def shared(data, base, tmp_path_factory):
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp('shared')
    share_computation(config(data, base), folder)
    return folder


def test_a_deposit_has_base_differences_and_heads(base, shared):
    path = shared / 'deposit.safetensors'
    deposit = Deposit(path)
    assert list(deposit.tasks) == ['cls', 'det', 'seg', 'more', 'other']
    assert all(verify(path).values())
    assert set(largest_differences(base, path).values()) == {0.0}
    more, other = (
        load_difference(shared / task / stage / 'difference.safetensors')
        for task, stage in (('more', 'activations'), ('other', 'places'))
    )
    assert 0 < other.density <= 0.1 < more.density <= 0.3
    assert not (shared / 'other' / 'activations').exists()
    with safe_open(path, 'pt') as file:
        assert 'specific/more' not in file.keys()
        assert len(file.get_tensor('difference/more/values')) == deposit.counts.specific['more']
    assert deposit.counts.specific['more'] <= more.elements
    lines = list(describe_differences(path))
    stored = deposit.counts.specific['more']
    # Values that a rounding has taken away are not stored.
    lost = (more.elements - stored) * 8
    assert f'{stored:,} elements' in lines[1] and f'{more.csr_bytes() - lost:,} bytes' in lines[1]
    assert f'{deposit.size_of("difference/more"):,} in the deposit' in lines[1]


def test_a_task_taken_out_is_the_plain_upstream_model(base, shared, tmp_path):
    """Base and difference merged once; nothing of the method is left."""
    path = shared / 'deposit.safetensors'
    extract(path, 'more', tmp_path, stock=False)
    weights = torch.load(tmp_path / 'more.pth', weights_only=False)['state_dict']
    start = dict(Deposit(base).load_task('cls').backbone.state_dict())
    difference = load_difference(shared / 'more' / 'activations' / 'difference.safetensors')
    merged = merge(start, difference)
    assert merged.keys() == {n.removeprefix('backbone.') for n in weights if 'backbone.' in n}
    for name, weight in merged.items():
        assert torch.equal(weights[f'backbone.{name}'], weight), name
    names = {f'{name}.weight' for name in linear_layers(Deposit(path).load_task('more').backbone)}
    assert set(difference.weights) == names


def test_a_summary_says_what_came_of_what(shared):
    summary = json.loads((shared / 'summary.json').read_text())
    assert list(summary) == ['more', 'other']
    more, other = summary.values()
    assert (more['lambda_w'], more['activations'], other['activations']) == (1e-4, 1e-4, None)
    difference = difference_of(Deposit(shared / 'deposit.safetensors'), 'more')
    assert more['density'] == difference.density and more['densities'] == difference.densities
    assert more['csr_bytes'] == difference.csr_bytes()


def test_norms_are_trained_of_a_base_that_shared_them(data, tmp_path):
    base = base_deposit(data, tmp_path / 'old', 'AllShared')
    cfg = config(data, base)
    cfg.computation_sharing.activations = None
    for stage in ('gates', 'places'):
        cfg.computation_sharing[stage].train_cfg.step.norms_and_biases = True
    path = share_computation(cfg, tmp_path / 'work', ['more'])
    ours, theirs = (Deposit(path).load_task(t).backbone.state_dict() for t in ('more', 'cls'))
    differ = {name for name, weight in ours.items() if not torch.equal(weight, theirs[name])}
    assert {'blocks.0.norm1.weight', 'blocks.0.norm2.bias', 'blocks.0.attn.qkv.bias'} <= differ
    assert not any(name.startswith('patch_embed') for name in differ)


def test_what_is_done_is_not_done_again(data, base, shared, capsys):
    before = Deposit(shared / 'deposit.safetensors').manifest['hashes']
    share_computation(config(data, base), shared, tasks=['more', 'other'])
    assert capsys.readouterr().out.count('done before') == 5
    assert Deposit(shared / 'deposit.safetensors').manifest['hashes'] == before


def test_tasks_go_as_they_came(shared, tmp_path):
    path = shutil.copy(shared / 'deposit.safetensors', tmp_path / 'a.safetensors')
    with raises_naming(ValueError, "'cls'", "'more'"):
        remove(path, 'cls')
    remove(path, 'more')
    assert list(Deposit(path).tasks) == ['cls', 'det', 'seg', 'other']
    assert set(largest_differences(path, shared / 'deposit.safetensors').values()) == {0.0}


@pytest.mark.parametrize(('sharing', 'backbone'), [('AllShared', 'ViT'), ('Sequential', 'Swin')])
def test_any_task_of_a_deposit_becomes_a_base(data, tmp_path, sharing, backbone):
    base = base_deposit(data, tmp_path / 'old', sharing, backbone)
    path = tmp_path / 'new.safetensors'
    counts = write_base(Deposit(base), 'seg', path)
    images = [np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)]
    assert list(Deposit(path).tasks) == ['seg'] and counts.specific['seg'] > 0
    assert largest_differences(path, base, images) == dict(seg=0.0)


def test_a_base_that_shares_its_weights_is_written_anew(data, tmp_path):
    base = base_deposit(data, tmp_path / 'old', 'AllShared')
    cfg = config(data, base)
    cfg.computation_sharing.activations = None
    path = share_computation(cfg, tmp_path / 'work', ['more'])
    assert list(Deposit(path).tasks) == ['cls', 'more']


def test_the_command(data, base, tmp_path, capsys, monkeypatch):
    cfg = config(data, base)
    cfg.computation_sharing.activations = None
    path = write_config(cfg, tmp_path / 'cfg.py')
    call_tool(
        monkeypatch, 'share_computation', path, '--task', 'more', '--work-dir', tmp_path / 'work'
    )
    out = capsys.readouterr().out
    assert 'compressed sparse rows' in out
    assert out.splitlines()[-1] == str(tmp_path / 'work' / 'deposit.safetensors')


def upstream_config(data, deposit, task):
    cfg = only(base_config(data), task)
    cfg.backbone.space = Deposit(deposit).build_backbone(task).space.to_config()
    cfg.backbone.sharing = SHARED
    cfg.pop('search_cfg')
    return cfg


def test_an_upstream_model_becomes_a_base(data, base, tmp_path):
    extract(base, 'seg', tmp_path, stock=False)
    cfg, path = upstream_config(data, base, 'seg'), tmp_path / 'base.safetensors'
    upstream_base(cfg, tmp_path / 'seg.pth', path)
    assert largest_differences(path, base) == dict(seg=0.0)
    assert owns_its_blocks(Deposit(path), 'seg')
    state = torch.load(tmp_path / 'seg.pth', weights_only=False)['state_dict']
    for missing in ('backbone.blocks.1.mlp.fc1.weight', 'decode_head.conv_seg.bias'):
        less = {key: value for key, value in state.items() if key != missing}
        torch.save(dict(state_dict=less), tmp_path / 'less.pth')
        with raises_naming(ValueError, 'less.pth', missing.removeprefix('backbone.')):
            upstream_base(cfg, tmp_path / 'less.pth', tmp_path / 'other.safetensors')
    assert not (tmp_path / 'other.safetensors').exists()


def test_any_new_task_is_added_as_a_difference(data, base, shared, tmp_path, monkeypatch, capsys):
    """What a stage has trained, by hand."""
    path = shutil.copy(base, tmp_path / 'a.safetensors')
    cfg = config(data, path)
    cfg.pop('computation_sharing')
    cfg.tasks.pop('other')
    config_file = write_config(cfg, tmp_path / 'cfg.py')
    checkpoint = shared / 'more' / 'places' / 'iter_2.pth'
    given = (path, config_file, '--checkpoint', checkpoint, '--difference-from', 'cls')
    call_tool(monkeypatch, 'deposit', 'add', *given)
    assert 'added more' in capsys.readouterr().out
    assert Deposit(path).specific_kinds['more'].bases == ('cls',)
    difference = load_difference(shared / 'more' / 'places' / 'difference.safetensors')
    assert Deposit(path).counts.specific['more'] <= difference.elements


def test_images_of_another_size_than_the_bases_are_refused(monkeypatch):
    def loader(size):
        return dict(dataset=dict(pipeline=[dict(type='Resize', scale=(size, size))]))

    cfg = Config(dict(base='b', inherit='cls', val_dataloader=dict(more=loader(40))))
    for size in (40, 32):
        opened = SimpleNamespace(tasks=dict(cls=dict(val_dataloader=loader(size))))
        monkeypatch.setattr(sub_tasks, 'Deposit', lambda *_, opened=opened: opened)
        if size == 40:
            sub_tasks.check_size(cfg, 'more')
            continue
        with raises_naming(ValueError, "'more'", '40 x 40', "'cls'", '32 x 32'):
            sub_tasks.check_size(cfg, 'more')


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'computation_sharing.density': 0}, ('density', 'more')),
        ({'computation_sharing.density': 1.2}, ('density', '1.2')),
        ({'computation_sharing.lambda': 1}, ('computation_sharing', "'lambda'")),
        ({'computation_sharing.places': None}, ("'places'",)),
        ({'base': None}, ("'base'",)),
        ({'inherit': 'nobody'}, ("'nobody'",)),
        ({'inherit': None}, ("'inherit'", "'cls'")),
        ({'computation_sharing.by': 'luck'}, ('computation_sharing.by', "'luck'")),
        ({'computation_sharing.gates': 3}, ('computation_sharing.gates', 3)),
        ({'computation_sharing.tasks': dict(nobody={})}, ('tasks', "'nobody'", "'more'")),
        ({'computation_sharing.places.train_cfg.step.typo': 1}, ('train_cfg.step', 'typo')),
        ({'computation_sharing': [1]}, ('computation_sharing', '[1]')),
    ],
    ids=str,
)
def test_mistakes_are_named_before_anything_is_trained(data, base, tmp_path, changes, named):
    cfg = config(data, base)
    cfg.merge_from_dict(changes)
    with raises_naming(ValueError, *named):
        share_computation(cfg, tmp_path)
    with raises_naming(ValueError, "'nobody'", "'more'"):
        share_computation(config(data, base), tmp_path, ['nobody'])
    assert not list(tmp_path.glob('*/gates'))


def stage_after_gates(data, base, shared, folder):
    """Runs one stage of two processes, after another that was of one."""
    cfg = config(data, base)
    cfg.computation_sharing.activations = None
    shutil.copytree(shared / 'more' / 'gates', folder / 'more' / 'gates')
    gates = read_json(shared / 'more' / 'stages.json')['gates']
    write_json(folder / 'more' / 'stages.json', dict(gates=gates))
    path = share_computation(cfg, folder, ['more'], processes=2)
    assert list(Deposit(path).tasks) == ['cls', 'det', 'seg', 'more']
    assert 0 < load_difference(folder / 'more/places/difference.safetensors').density <= 0.3


def test_a_stage_of_several_processes_is_a_training_as_under_torchrun(
    data, base, shared, tmp_path, monkeypatch, capsys
):
    """What it is started with is enough for one process to do the same here."""
    seen = []

    def here(processes, name, *args):
        seen.append(processes)
        start = args.index('--launcher')
        assert args[start + 1] == 'pytorch'
        call_tool(monkeypatch, name, *args[:start], *args[start + 2 :])
        return True

    monkeypatch.setattr(pipeline, 'run_on_processes', here)
    stage_after_gates(data, base, shared, tmp_path)
    assert seen == [2]
    assert capsys.readouterr().out.count('done before') == 1
    found, expected = (each / 'more/places/difference.safetensors' for each in (tmp_path, shared))
    assert found.read_bytes() == expected.read_bytes()


@pytest.mark.slow
@pytest.mark.distributed
def test_a_stage_of_several_processes(data, base, shared, tmp_path):
    """That trainings of several are those of one is tested elsewhere."""
    stage_after_gates(data, base, shared, tmp_path)
