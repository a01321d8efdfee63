"""Deposits of tasks that share more than the backbone."""

import random

import pytest
import torch
from deposit.deposits import pack_joint
from deposit.hostile import altered
from helpers import TASKS, build_model, differences, plain
from refusals import raises_naming
from safetensors import safe_open
from shared_pyramid import LABEL, PYRAMID, with_pyramids, with_shared_pyramid

from mdl_nas_mm.deposit import Deposit, extract, load_tasks, remove, verify
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config

NECK = f'head/{LABEL}/neck.'


@pytest.fixture(scope='module')
def packed(data, tmp_path_factory):
    """The config, the model, its joint spec and the deposit."""
    cfg = resolve_joint_config(with_shared_pyramid(data))
    model = build_model(cfg).eval()
    rng = random.Random(0)
    joint = JointSpec({task: model.backbone.space.sample(rng) for task in TASKS})
    path = tmp_path_factory.mktemp('packed') / 'a.safetensors'
    pack_joint(path, cfg, model, joint)
    return cfg, model, joint, path


def names_in(path):
    with safe_open(path, 'pt') as file:
        return set(file.keys())


def answer(model, cfg, task):
    loader = build_eval_loader(task, cfg.tasks[task].scope, cfg.val_dataloader[task])
    return plain(model.val_step(next(iter(loader))))


@torch.no_grad()
def test_it_is_stored_once_and_each_task_answers_as_in_the_supernet(packed):
    cfg, model, joint, path = packed
    names = names_in(path)
    weights = {f'{NECK}{name}' for name, _ in MODELS.build(PYRAMID).named_parameters()}
    assert {name for name in names if name.startswith(f'head/{LABEL}/')} == weights
    for task in ('det', 'seg'):
        assert any(name.startswith(f'head/{task}/neck.') for name in names)
        assert not any(name.startswith(f'head/{task}/neck.') and 'weight' in name for name in names)
    assert all(verify(path).values())
    together = load_tasks(path)
    for task in TASKS:
        with model.scope(task):
            expected = answer(model.subnet(task, joint[task]), cfg, task)
            for one in (Deposit(path).load_task(task), together[task]):
                assert differences(answer(one, cfg, task), expected) == []
    necks = [together[task].neck.convs[0][0].conv.weight for task in ('det', 'seg')]
    assert necks[0].data_ptr() == necks[1].data_ptr()


def test_the_ledger_counts_what_the_file_has(packed, data, tmp_path):
    _, model, joint, path = packed
    deposit = Deposit(path)
    assert deposit.counts == model.backbone.ledger(model.head_sizes()).count(joint)
    trained = {f'{t}/{n}' for t, m in model.tasks.items() for n, _ in m.named_parameters()}
    trained |= {f'{LABEL}/{name}' for name, _ in model.parts[LABEL].named_parameters()}
    sizes = [deposit.read(f'head/{name}').numel() for name in trained]
    stored = sum(sizes) + sum(deposit.size_of(kind) // 4 for kind in ('shared/', 'specific/'))
    assert stored == deposit.counts.total
    # The same tasks with a pyramid each.
    cfg = resolve_joint_config(with_pyramids(data))
    counts = pack_joint(tmp_path / 'apart.safetensors', cfg, build_model(cfg), joint)
    pyramid = sum(p.numel() for p in MODELS.build(PYRAMID).parameters())
    assert counts.total - deposit.counts.total == pyramid
    assert counts.separate == deposit.counts.separate
    apart = names_in(tmp_path / 'apart.safetensors')
    assert not any('+' in name for name in apart if name.startswith('head/'))


@torch.no_grad()
@pytest.mark.parametrize('task', ['det', 'seg', 'cls'])
def test_others_keep_it_when_a_task_is_removed(packed, tmp_path, task):
    cfg, model, joint, path = packed
    left = tmp_path / 'left.safetensors'
    left.write_bytes(path.read_bytes())
    counts = remove(left, task)
    names = names_in(left)
    other = {'det': 'seg', 'seg': 'det', 'cls': LABEL}[task]
    assert {n.split('/')[1] for n in names if 'neck.convs.0.0.conv' in n} == {other}
    assert all(verify(left).values())
    rest = JointSpec({t: spec for t, spec in joint.items() if t != task})
    expected = model.backbone.ledger(model.head_sizes()).count(rest)
    assert sum(counts.heads.values()) == sum(expected.heads.values())
    assert counts.separate == expected.separate
    for name in rest:
        with model.scope(name):
            answers = [answer(Deposit(p).load_task(name), cfg, name) for p in (path, left)]
        assert differences(*answers) == []


def test_a_task_with_it_is_extracted_as_a_plain_model(packed, tmp_path):
    _, model, joint, path = packed
    extract(path, 'seg', tmp_path)
    state = torch.load(tmp_path / 'seg.pth', weights_only=True)['state_dict']
    for name, weight in model.tasks.seg.neck.state_dict().items():
        assert torch.equal(state[f'neck.{name}'], weight)
    for name, weight in model.parts[LABEL].state_dict().items():
        assert torch.equal(state[name], weight)


@pytest.mark.parametrize('label', ['det+other', 'seg+det', 'det+det', '', 'other'])
def test_other_owners_are_refused(packed, tmp_path, label):
    def change(manifest):
        heads = manifest['counts']['heads']
        heads[label] = heads.pop(LABEL)

    with raises_naming(ValueError, 'b.safetensors', 'counts, heads'):
        Deposit(altered(packed[-1], tmp_path / 'b.safetensors', change))


def test_a_file_says_that_parts_of_it_are_shared(packed, tmp_path):
    """So that its counts are those of all tensors."""

    def change(manifest):
        del manifest['counts']['heads'][LABEL]

    with raises_naming(ValueError, 'b.safetensors', 'counts, heads', LABEL):
        Deposit(altered(packed[-1], tmp_path / 'b.safetensors', change))
