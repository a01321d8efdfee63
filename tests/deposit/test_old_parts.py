"""New tasks that use a pyramid that old ones share: frozen, and in the file once."""

import shutil

import pytest
import torch
from deposits import pack_joint
from helpers import TASKS, build_runner
from new_tasks import architectures, new_config
from refusals import raises_naming
from shared_pyramid import CHANNELS, LABEL, PYRAMID, with_shared_pyramid

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, remove, verify
from mdl_nas_mm.deposit.verify import largest_differences
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config

NAMES = {f'neck.{name}' for name, _ in MODELS.build(PYRAMID).named_parameters()}
ALL = 'det+more+seg'


@pytest.fixture(scope='module')
def bases(data, tmp_path_factory):
    """A supernet's checkpoint, and the deposit of it."""
    return trained_bases(data, tmp_path_factory.mktemp('base'), {})


@pytest.fixture(scope='module')
def partly(data, tmp_path_factory):
    """The same, of tasks that share channels of the pyramid."""
    policy = dict(sharing='Sequential', share_ratio=0.5)
    return trained_bases(data, tmp_path_factory.mktemp('partly'), policy)


def trained_bases(data, folder, policy):
    cfg = with_shared_pyramid(data, {'train_cfg.max_iters': 1, 'val_cfg': None})
    cfg.parts.pyramid.update(policy)
    build_runner(cfg, folder).train()
    cfg, supernet = resolve_joint_config(cfg), folder / 'iter_1.pth'
    pack_joint(folder / 'a.safetensors', cfg, load_supernet(cfg, supernet), architectures())
    return supernet, folder / 'a.safetensors'


def with_old_pyramid(data, base, of='seg', joint=None):
    """Another segmentation."""
    cfg = new_config(data, base, joint, like='seg', changes={'train_cfg.max_iters': 1})
    model = cfg.tasks.more.model
    model.neck = dict(PYRAMID)
    model.decode_head.update(in_channels=[CHANNELS] * 4, in_index=[0, 1, 2, 3])
    cfg.parts = dict(pyramid=dict(module='neck', tasks=('more',), of=of))
    return cfg


def test_it_is_frozen_and_stored_once(data, bases, tmp_path):
    _, old = bases
    new, stored = shutil.copy(old, tmp_path / 'new.safetensors'), Deposit(old)
    runner = build_runner(with_old_pyramid(data, old), tmp_path)
    runner.train()
    cfg, model, joint = runner.cfg, runner.model.eval(), fixed_spec(runner.cfg)
    assert NAMES.isdisjoint(model.tasks.more.state_dict())
    for key in NAMES:
        weight = model.tasks.more.get_submodule(key.rpartition('.')[0])
        weight = getattr(weight, key.rpartition('.')[2])
        assert torch.equal(weight, stored.read(f'head/{LABEL}/{key}')) and not weight.requires_grad
    before = stored.counts
    after = add_to_deposit(cfg, tmp_path / 'iter_1.pth', joint, new)
    assert all(verify(new).values())
    assert largest_differences(old, new) == dict.fromkeys(TASKS, 0.0)
    tensors = Deposit(new).read_all()
    assert {n for n in tensors if n.startswith(f'head/{ALL}/')} == {
        f'head/{ALL}/{n}' for n in NAMES
    }
    assert not any(
        name.startswith((f'head/{LABEL}/', 'head/more/neck')) and 'weight' in name
        for name in tensors
    )
    pyramid = sum(p.numel() for p in MODELS.build(PYRAMID).parameters())
    own = model.backbone.ledger(model.head_sizes()).count(joint)
    assert own.heads['more'] - pyramid == after.heads['more']
    assert after.heads[ALL] == pyramid and LABEL not in after.heads
    assert after.head_of('more') == own.heads['more']
    assert after.total - before.total == own.specific['more'] + after.heads['more'] + (
        after.shared - before.shared
    )
    found = Deposit(new).load_task('more').neck.state_dict()
    for key in NAMES:
        assert torch.equal(found[key.removeprefix('neck.')], stored.read(f'head/{LABEL}/{key}'))
    remove(new, 'more')
    assert set(Deposit(new).names()) == set(stored.names())
    assert Deposit(new).counts == before


def test_of_a_supernet(data, bases):
    supernet, _ = bases
    cfg = resolve_joint_config(with_old_pyramid(data, supernet, 'det', architectures()))
    model = MODELS.build(cfg.model)
    model.init_weights()
    state = torch.load(supernet, weights_only=False)['state_dict']
    for key in NAMES:
        weight = model.parts.more.get_parameter(key)
        assert torch.equal(weight, state[f'parts.{LABEL}.{key}'])


def test_other_weights_than_those_in_the_file_are_refused(data, bases, tmp_path):
    _, old = bases
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    runner = build_runner(with_old_pyramid(data, old), tmp_path)
    runner.train()
    path = tmp_path / 'iter_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['state_dict']['parts.more.neck.convs.0.0.conv.weight'].add_(1e-6)
    torch.save(checkpoint, path)
    with raises_naming(ValueError, 'pyramid', "'neck.convs.0.0.conv.weight'", "'seg'"):
        add_to_deposit(runner.cfg, path, fixed_spec(runner.cfg), new)
    assert new.read_bytes() == old.read_bytes()


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(of='pose'), ("'pose'", 'seg')),
        (dict(sharing='Sequential', share_ratio=0.5), ("'seg'", 'policy')),
        (dict(tasks=()), ('tasks', 'one')),
    ],
    ids=str,
)
def test_what_is_no_part_of_the_base_is_refused(data, bases, settings, named):
    cfg = with_old_pyramid(data, bases[1])
    cfg.parts.pyramid.update(settings)
    with raises_naming(ValueError, 'parts.pyramid', *named):
        resolve_joint_config(cfg)


def test_a_module_of_other_sizes_is_refused_when_training_begins(data, bases):
    cfg = with_old_pyramid(data, bases[1])
    cfg.tasks.more.model.neck.out_channels = 4
    cfg.tasks.more.model.decode_head.in_channels = [4] * 4
    model = MODELS.build(resolve_joint_config(cfg).model)
    with raises_naming(ValueError, 'parts.pyramid', "'neck.", "'seg'", "'more'"):
        model.init_weights()


@pytest.mark.parametrize('number', [0, 1], ids=['supernet', 'deposit'])
def test_what_the_base_shares_in_part_is_refused_and_nothing_else_is(data, partly, number):
    cfg = with_old_pyramid(data, partly[number], joint=architectures() if number == 0 else None)
    model = MODELS.build(resolve_joint_config(cfg).model)
    with raises_naming(ValueError, partly[number].name, "'neck.", "'seg'"):
        model.init_weights()
    cfg.parts = dict(head=dict(module='decode_head', tasks=('more',), of='seg'))
    model = MODELS.build(resolve_joint_config(cfg).model)
    model.init_weights()
    state = torch.load(partly[0], weights_only=False)['state_dict']
    named = dict(model.parts.more.named_parameters())
    assert named and all(torch.equal(p, state[f'tasks.seg.{key}']) for key, p in named.items())


def test_there_has_to_be_a_base(data):
    cfg = with_shared_pyramid(data)
    cfg.parts.pyramid.of = 'seg'
    with raises_naming(ValueError, 'parts.pyramid', "'seg'", 'base'):
        resolve_joint_config(cfg)
