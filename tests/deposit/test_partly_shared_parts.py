"""Deposits of tasks that share some output channels of a neck."""

import random

import numpy as np
import pytest
import torch
from deposit.deposits import pack_joint
from helpers import TASKS, build_model, differences, plain
from refusals import raises_naming
from safetensors import safe_open
from shared_pyramid import LABEL, PYRAMID, with_shared_pyramid

from mdl_nas_mm.deposit import Deposit, extract, load_tasks, remove, verify
from mdl_nas_mm.deposit.tensor_file import content_hash
from mdl_nas_mm.deposit.write import write
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config

RATIO = 0.6
SHARINGS = dict(Sequential='Sequential', Mask=dict(type='Mask', threshold='ratio'))


@pytest.fixture(scope='module', params=SHARINGS)
def packed(request, data, tmp_path_factory):
    """The config, the model, its joint spec and the deposit."""
    cfg = with_shared_pyramid(data)
    cfg.parts.pyramid.update(sharing=SHARINGS[request.param], share_ratio=RATIO)
    cfg = resolve_joint_config(cfg)
    model = build_model(cfg).eval()
    with torch.no_grad():
        for parameter in model.parts.parameters():
            parameter.copy_(torch.rand_like(parameter))
    rng = random.Random(0)
    joint = JointSpec({task: model.backbone.space.sample(rng) for task in TASKS})
    path = tmp_path_factory.mktemp('packed') / 'a.safetensors'
    return cfg, model, joint, path, pack_joint(path, cfg, model, joint)


def answer(model, cfg, task):
    loader = build_eval_loader(task, cfg.tasks[task].scope, cfg.val_dataloader[task])
    return plain(model.val_step(next(iter(loader))))


def entries(path):
    with safe_open(path, 'pt') as file:
        return {name: file.get_tensor(name) for name in file.keys()}


@torch.no_grad()
def test_each_task_answers_as_in_the_supernet(packed):
    cfg, model, joint, path, _ = packed
    assert all(verify(path).values())
    together = load_tasks(path)
    for task in TASKS:
        with model.scope(task):
            expected = answer(model.subnet(task, joint[task]), cfg, task)
            for one in (Deposit(path).load_task(task), together[task]):
                assert differences(answer(one, cfg, task), expected) == []


def test_shared_channels_are_stored_once(packed):
    _, model, joint, path, counts = packed
    tensors = entries(path)
    plain_sizes = {n: p.numel() for n, p in MODELS.build(PYRAMID).named_parameters()}
    for name, size in plain_sizes.items():
        shared, det, seg, rows = (
            tensors[f'{kind}/{label}/neck.{name}']
            for kind, label in (('head', LABEL), ('head', 'det'), ('head', 'seg'), ('rows', LABEL))
        )
        assert shared.numel() + det.numel() == size and det.shape == seg.shape
        assert np.unpackbits(rows.numpy()).sum() in shared.shape
    assert not any(name.endswith('.score') for name in tensors)
    deposit = Deposit(path)
    assert counts == deposit.counts == model.supernet.ledger(model.head_sizes()).count(joint)
    trained = {f'{t}/{n}' for t, m in model.tasks.items() for n, _ in m.named_parameters()}
    trained |= {f'{LABEL}/neck.{name}' for name in plain_sizes}
    stored = sum(tensors[f'head/{name}'].numel() for name in trained)
    stored += sum(deposit.size_of(kind) // 4 for kind in ('shared/', 'specific/'))
    assert stored == counts.total


@torch.no_grad()
@pytest.mark.parametrize('task', ['det', 'cls'])
def test_others_keep_their_weights_when_a_task_is_removed(packed, tmp_path, task):
    cfg, model, joint, path, _ = packed
    left = tmp_path / 'left.safetensors'
    left.write_bytes(path.read_bytes())
    counts = remove(left, task)
    tensors = entries(left)
    assert all(verify(left).values())
    assert any(name.startswith('rows/') for name in tensors) == (task == 'cls')
    rest = JointSpec({t: spec for t, spec in joint.items() if t != task})
    expected = model.supernet.ledger(model.head_sizes()).count(rest)
    assert sum(counts.heads.values()) == sum(expected.heads.values())
    for name in rest:
        with model.scope(name):
            answers = [answer(Deposit(p).load_task(name), cfg, name) for p in (path, left)]
        assert differences(*answers) == []


def test_a_task_is_extracted_as_a_plain_model(packed, tmp_path):
    _, model, _, path, _ = packed
    extract(path, 'seg', tmp_path)
    state = torch.load(tmp_path / 'seg.pth', weights_only=True)['state_dict']
    (part,) = model.held_parts
    for layer, rows in part.rows.items():
        own = {
            name: getattr(model.tasks.seg.neck.get_submodule(layer), name) for name in rows.names
        }
        for name, weight in rows.merged(own).items():
            assert torch.equal(state[f'neck.{layer}.{name}'], weight)


@pytest.mark.parametrize('change', ['shared', 'own', 'rows', 'bits', 'owner'])
def test_channels_that_do_not_fit_are_refused(packed, tmp_path, change):
    path, name = packed[3], 'neck.convs.0.0.conv.weight'
    rows = f'rows/{LABEL}/{name}'

    deposit = Deposit(path)
    manifest, tensors = deposit.copy_manifest(), {n: t.clone() for n, t in entries(path).items()}
    if change == 'shared':
        tensors[f'head/{LABEL}/{name}'] = tensors[f'head/{LABEL}/{name}'][:-1].clone()
    elif change == 'own':
        del tensors[f'head/seg/{name}']
    elif change == 'rows':
        tensors[rows] = torch.cat([tensors[rows], tensors[rows]])
    elif change == 'bits':
        tensors[rows] = ~tensors[rows]
    else:
        tensors[f'rows/det+other/{name}'] = tensors.pop(rows)
    manifest['hashes'] = {name: content_hash(tensor) for name, tensor in tensors.items()}
    write(tmp_path / 'b.safetensors', manifest, tensors)
    named = 'channels' if change in ('rows', 'bits') else name
    with raises_naming(ValueError, 'b.safetensors', named):
        Deposit(tmp_path / 'b.safetensors').load_task('seg')
