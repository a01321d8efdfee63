"""Tasks added to a deposit: the old ones answer as before, bit for bit, and leaks are noticed."""

import copy
import shutil

import numpy as np
import pytest
import torch
from deposits import pack_joint
from helpers import (
    TASKS,
    build_model,
    build_runner,
    call_tool,
    differences,
    only,
    plain,
    predict,
    refusal_of_tool,
    write_config,
)
from new_tasks import (
    architectures,
    base_config,
    new_config,
    policies_and_backbones,
    train_base,
)
from refusals import assert_names, raises_naming
from safetensors.torch import save_file

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, add, remove
from mdl_nas_mm.deposit.tensor_file import content_hash
from mdl_nas_mm.deposit.verify import largest_differences, verify
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.header.manifest import encode
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import build_eval_loader, fixed_spec, resolve_joint_config
from mdl_nas_mm.utils.files import sha256_of

IMAGES = [
    np.random.default_rng(i).integers(0, 256, (size, size, 3), np.uint8)
    for i, size in enumerate((16, 24))
]


@pytest.fixture(scope='module')
def bases(data, tmp_path_factory, quick_mmengine):
    """(sharing, backbone) -> a supernet's checkpoint and the deposit of it, each made once."""
    known = {}

    def make(sharing='Sequential', backbone='ViT'):
        key = (str(sharing), backbone)
        if key not in known:
            folder = tmp_path_factory.mktemp('base')
            cfg = base_config(data, sharing, backbone)
            supernet = train_base(cfg, folder)
            cfg = resolve_joint_config(cfg)
            deposit = folder / 'deposit.safetensors'
            joint = architectures(backbone)
            pack_joint(deposit, cfg, load_supernet(cfg, supernet), joint)
            known[key] = supernet, deposit
        return known[key]

    return make


@pytest.fixture
def batches(data):
    """Task -> some validation images, as its loader gives them."""
    cfg = base_config(data)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg = resolve_joint_config(cfg)
    return {
        task: next(iter(build_eval_loader(task, info.scope, cfg.val_dataloader[task])))
        for task, info in cfg.tasks.items()
    }


@torch.no_grad()
def answers(deposit, batches):
    """Every old task's answers out of a file."""
    return {
        task: plain(Deposit(deposit).load_task(task).val_step(copy.deepcopy(batches[task])))
        for task in TASKS
    }


def train(cfg, folder):
    runner = build_runner(cfg, folder)
    runner.train()
    return runner.cfg, runner.model.eval(), folder / f'iter_{runner.max_iters}.pth'


def train_and_add(cfg, folder, deposit):
    cfg, model, checkpoint = train(cfg, folder)
    joint = fixed_spec(cfg)
    return model, joint, add_to_deposit(cfg, checkpoint, joint, deposit)


@torch.no_grad()
def check_same_answers(model, joint, deposit, batch):
    """The new task answers out of the file as it did when it was trained."""
    ((task, spec),) = joint.items()
    for image in IMAGES:
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 64 - 2
        expected = model.backbone.forward_subnet(pixels, task, spec)
        found = Deposit(deposit).load_task(task).backbone(pixels)
        assert differences(list(found), list(expected)) == []
    expected = predict(model, task, spec, copy.deepcopy(batch))
    found = Deposit(deposit).load_task(task).val_step(copy.deepcopy(batch))
    assert differences(plain(found), plain(expected)) == []


@policies_and_backbones
def test_old_tasks_answer_bit_for_bit_as_before(data, bases, batches, sharing, backbone, tmp_path):
    _, old = bases(sharing, backbone)
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    before, counts = answers(old, batches), Deposit(old).counts
    cfg = new_config(data, old, None, backbone=backbone)
    model, joint, total = train_and_add(cfg, tmp_path, new)
    assert differences(answers(new, batches), before) == []
    assert all(verify(new).values())
    check_same_answers(model, joint, new, batches['cls'])
    assert largest_differences(old, new, IMAGES) == dict.fromkeys(TASKS, 0.0)
    for name, tensor in Deposit(old).read_all().items():
        assert torch.equal(Deposit(new).read(name), tensor), name
    # What it shares with classification is in the file already.
    own = model.backbone.ledger(model.head_sizes()).count(joint)
    added = own.specific['more'] + own.heads['more']
    assert total.total - counts.total == added
    assert total.shared == counts.shared
    stored = Deposit(new).read_all()
    elements = sum(t.numel() for name, t in stored.items() if name not in Deposit(old).read_all())
    masks = sum(t.numel() for name, t in stored.items() if name == 'mask/more')
    assert elements - masks == added


def test_file_grows_by_the_parameters_that_are_added(data, tmp_path):
    """Within one percent, where a task has more than a few thousand of them."""
    cfg = only(base_config(data), 'cls')
    cfg.backbone.space = dict(embed_dim=256, depth=3, num_heads=4, mlp_ratio=4, share_ratio=0.3)
    cfg.tasks.cls.model.head.in_channels = 256
    cfg = resolve_joint_config(cfg)
    model, path = build_model(cfg), tmp_path / 'deposit.safetensors'
    pack_joint(path, cfg, model, JointSpec(dict(cls=model.backbone.space.largest())))
    size, before = path.stat().st_size, Deposit(path).counts
    changes = {'tasks.more.model.head.in_channels': 256}
    cfg = resolve_joint_config(new_config(data, path, None, changes=changes))
    model = build_model(cfg)
    model.backbone.init_weights()
    infos = dict(more=dict(cfg['tasks'].more, model=cfg.model.tasks.more.model))
    after = add(path, model, fixed_spec(cfg), infos)
    added = after.total - before.total
    assert added == after.specific['more'] + after.heads['more'] > 10**6
    assert path.stat().st_size - size == pytest.approx(4 * added, rel=0.01)


def test_scores_of_its_own(data, bases, batches, tmp_path):
    """(D): shared weights that only the new task uses are stored beside the old ones."""
    supernet, old = bases('Mask')
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    # So fast that scores cross the threshold within a few steps.
    custom = dict(custom_keys={'.score': dict(lr_mult=30.0, decay_mult=0.0)})
    changes = {'trained': 'scores', 'optim_wrapper.paramwise_cfg': custom}
    cfg = new_config(data, supernet, architectures(), changes=changes)
    counts = Deposit(old).counts
    model, joint, total = train_and_add(cfg, tmp_path, new)
    ours, theirs = (
        {
            run: found[0].chosen
            for run, found in Deposit(new).structure.regions[label].weights.items()
        }
        for label in ('more', 'cls')
    )
    moved = [name for name in ours if (ours[name] != theirs[name]).any()]
    assert moved and total.shared > counts.shared
    own = model.backbone.ledger().count(joint)
    assert total.specific['more'] == own.specific['more'] != counts.specific['cls']
    assert largest_differences(old, new, IMAGES) == dict.fromkeys(TASKS, 0.0)
    check_same_answers(model, joint, new, batches['cls'])
    # A third one inherits from it what it shares, not what the scores of the old tasks say.
    cfg = new_config(data, new, None, name='third', changes=dict(inherit='more'))
    third = Deposit(new).load_task('more').backbone
    runner = build_runner(cfg, tmp_path / 'third')
    runner.model.init_weights()
    with torch.no_grad():
        pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        found = runner.model.backbone.forward_subnet(pixels, 'third', joint['more'])
        assert differences(list(found), list(third(pixels))) == []


def test_an_architecture_of_its_own(data, bases, batches, tmp_path):
    """It may use shared weights that no old task does; these are stored beside."""
    supernet, old = bases()
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    largest = resolve_joint_config(base_config(data)).backbone.space
    spec = dict(embed_dim=24, depth=2, num_heads=2, mlp_ratio=2, share_ratio=0.6)
    assert largest.share_ratio[-1] == 0.6
    cfg = new_config(data, supernet, None, changes=dict(joint_spec=dict(more=spec)))
    counts = Deposit(old).counts
    model, joint, total = train_and_add(cfg, tmp_path, new)
    assert total.shared > counts.shared
    assert largest_differences(old, new, IMAGES) == dict.fromkeys(TASKS, 0.0)
    check_same_answers(model, joint, new, batches['cls'])


def test_one_after_another_and_removed_again(data, bases, batches, tmp_path):
    _, old = bases('Mask')
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    first = new_config(data, old, None, name='first')
    # Trained from the same base at the same time, added when the first one is there already.
    second = new_config(data, new, None, name='second', like='seg')
    trained = {}
    for name, cfg in dict(first=first, second=second).items():
        trained[name] = train(cfg, tmp_path / name)
    for cfg, _, checkpoint in trained.values():
        add_to_deposit(cfg, checkpoint, fixed_spec(cfg), new)
    # And one on top of an added one.
    third = new_config(data, new, None, name='third', like='seg', changes=dict(inherit='second'))
    train_and_add(third, tmp_path / 'third', new)
    assert list(Deposit(new).tasks) == [*TASKS, 'first', 'second', 'third']
    assert largest_differences(old, new, IMAGES) == dict.fromkeys(TASKS, 0.0)
    with_three = {task: Deposit(new).load_task(task) for task in ('second', 'third')}
    remove(new, 'first')
    assert list(Deposit(new).tasks) == [*TASKS, 'second', 'third']
    for task, model in with_three.items():
        state = dict(Deposit(new).load_task(task).state_dict())
        assert differences(state, dict(model.state_dict())) == []
    for task in ('second', 'third'):
        remove(new, task)
    assert differences(answers(new, batches), answers(old, batches)) == []
    assert Deposit(new).counts == Deposit(old).counts


def test_a_new_task_may_take_a_removed_name(data, bases, tmp_path):
    """What inherits from it has its outputs, not those of the removed task."""
    new = shutil.copy(bases()[1], tmp_path / 'new.safetensors')
    before = Deposit(new).tasks['cls']['region']
    remove(new, 'cls')
    train_and_add(new_config(data, new, None, name='cls', like='seg'), tmp_path / 'cls', new)
    assert Deposit(new).tasks['cls']['region'] != before
    cfg = new_config(data, new, None, like='seg', changes=dict(inherit='cls'))
    assert resolve_joint_config(cfg).model.backbone.out_type == dict(more='featmap')


def alter(path, name, change):
    """Writes a deposit that is valid but for one tensor having been changed."""
    deposit = Deposit(path)
    manifest, tensors = deposit.copy_manifest(), deposit.read_all()
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    change(tensors[name])
    manifest['hashes'][name] = content_hash(tensors[name])
    save_file(tensors, path, encode(manifest))


@pytest.mark.parametrize(
    ('kind', 'change', 'found'),
    [
        # A decay of a frozen weight: a hundredth of a usual step's.
        ('shared/', lambda t: t.mul_(1 - 1e-5), {'cls', 'det', 'seg'}),
        ('head/seg/decode_head.conv_seg.bias', lambda t: t.add_(1e-6), {'seg'}),
        ('running_mean', lambda t: t.add_(1e-4), {'seg'}),
    ],
)
def test_certificate_finds_a_planted_leak(data, tmp_path, kind, change, found):
    """Of a frozen weight that decayed, and of running statistics that drifted."""
    cfg = base_config(data)
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='BN')
    supernet = train_base(cfg, tmp_path)
    cfg = resolve_joint_config(cfg)
    before, after = tmp_path / 'before.safetensors', tmp_path / 'after.safetensors'
    pack_joint(before, cfg, load_supernet(cfg, supernet), architectures())
    shutil.copy(before, after)
    names = [name for name in Deposit(after).read_all() if kind in name]
    for name in names if kind == 'shared/' else names[:1]:
        alter(after, name, change)
    assert all(verify(after).values()), 'the file itself is in order'
    differing = {task for task, size in largest_differences(before, after, IMAGES).items() if size}
    assert differing == found


def test_weights_that_were_trained_without_freezing_are_refused(data, bases, tmp_path):
    supernet, old = bases()
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    digest = sha256_of(new)
    cfg = new_config(data, supernet, architectures(), changes=dict(trained='all'))
    cfg, _, checkpoint = train(cfg, tmp_path)
    with raises_naming(ValueError, "'more'", 'shared weight'):
        add_to_deposit(cfg, checkpoint, fixed_spec(cfg), new)
    assert sha256_of(new) == digest


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(inherit='pose'), ("'pose'", ['cls', 'det', 'seg'])),
        (dict(trained='scores'), ("trained='scores'", 'channel')),
        (dict(joint_spec=architectures().to_dict()), ('joint_spec',)),
        (dict(base='absent.safetensors'), ('absent.safetensors',)),
        ({'backbone.sharing': 'Sequential'}, ('backbone.sharing', 'base ')),
    ],
    ids=str,
)
def test_what_does_not_fit_a_deposit_is_refused(data, bases, changes, named):
    _, deposit = bases('Mask')
    digest = sha256_of(deposit)
    cfg = new_config(data, deposit, None, changes=changes)
    with raises_naming((ValueError, FileNotFoundError), *named):
        resolve_joint_config(cfg)
    assert sha256_of(deposit) == digest


def test_name_of_an_old_task_is_refused(data, bases):
    cfg = new_config(data, bases()[1], None, name='det')
    with raises_naming(ValueError, "'det'"):
        resolve_joint_config(cfg)


def test_outputs_that_the_base_has_no_norm_for_are_refused(data, tmp_path):
    """A Swin has norms behind the stages that its tasks take; there are no weights of others."""
    cfg = only(base_config(data, backbone='Swin'), 'cls')
    supernet = train_base(cfg, tmp_path)
    joint = JointSpec(dict(cls=architectures('Swin')['cls']))
    changes = {'tasks.more.backbone': dict(out_indices=(0, 1))}
    cfg = new_config(data, supernet, joint, backbone='Swin', changes=changes)
    with raises_naming(ValueError, "'norm0.weight'"):
        build_runner(cfg, tmp_path).train()
    deposit = tmp_path / 'deposit.safetensors'
    base = resolve_joint_config(only(base_config(data, backbone='Swin'), 'cls'))
    pack_joint(deposit, base, load_supernet(base, supernet), joint)
    cfg = new_config(data, deposit, None, backbone='Swin', changes=changes)
    with raises_naming(ValueError, "'norm0.weight'"):
        build_runner(cfg, tmp_path).train()


def test_tools_train_add_and_certify(data, bases, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, old = bases()
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    cfg = new_config(data, old, None)
    path = write_config(cfg, tmp_path / 'more.py')
    train(cfg, tmp_path / 'run')
    arguments = ('add', new, path, '--checkpoint', tmp_path / 'run' / 'iter_4.pth')
    call_tool(monkeypatch, 'deposit', *arguments)
    call_tool(monkeypatch, 'deposit', 'verify', '--before', old, '--after', new)
    printed = capsys.readouterr().out
    for task in TASKS:
        assert task in printed
    assert_names(refusal_of_tool(monkeypatch, 'deposit', *arguments), new, "'more'")
    alter(new, 'head/cls/head.fc.bias', lambda t: t.add_(1e-3))
    message = refusal_of_tool(monkeypatch, 'deposit', 'verify', '--before', old, '--after', new)
    assert 'cls' in message
