"""Several tasks in one process: the answers of single ones, the shared weights once."""

import copy
import random

import pytest
import torch
from deposits import SHARINGS
from growing import Supernet, images, infos
from refusals import raises_naming
from torch.nn.utils import parametrize

from mdl_nas_mm.deposit import Deposit, load_tasks, pack, remove, same_backbones
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

PAIRS = [('ViT', name) for name in SHARINGS] + [('Swin', 'Mixed')]


def storages(models):
    """Bytes of all memory that models hold on to, each piece once."""
    found = {}
    for module in (module for model in models.values() for module in model.modules()):
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        tensors += [rectangle.block for rectangle in getattr(module, '_rectangles', ())]
        for tensor in tensors:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@torch.no_grad()
@pytest.mark.parametrize(('kind', 'sharing'), PAIRS)
def test_answers_are_those_of_single_tasks_and_memory_that_of_the_ledger(
    data, kind, sharing, tmp_path
):
    supernet, rng, path = Supernet(data, SHARINGS[sharing], kind), random.Random(0), tmp_path / 'a'
    supernet.pack(path, supernet.sample(rng, 'a', 'b', 'c'))
    supernet.add(path, supernet.sample(rng, 'd'))
    remove(path, 'b')
    deposit, models = Deposit(path), load_tasks(path)
    assert list(models) == list(deposit.tasks) == ['a', 'c', 'd']
    for task, model in models.items():
        assert not model.training and type(model) is type(deposit.load_task(task))
        expected, found = deposit.load_task(task).backbone(images()), model.backbone(images())
        assert all(torch.equal(a, b) for a, b in zip(found, expected)), task
        with parametrize.cached():
            again = model.backbone(images())
        assert all(torch.equal(a, b) for a, b in zip(again, expected)), task
    buffers = sum(b.nbytes for model in models.values() for b in model.buffers())
    assert storages(models) == 4 * deposit.counts.total + buffers
    singles = {task: deposit.load_task(task) for task in models}
    assert storages(models) <= storages(singles) <= 4 * deposit.counts.separate + buffers


@torch.no_grad()
def test_one_architecture_for_all_is_views_alone(data, tmp_path):
    """Where all is shared, nothing is put together, and nothing is there twice."""
    supernet, path = Supernet(data, 'AllShared'), tmp_path / 'a.safetensors'
    spec = supernet.model.backbone.space.sample(random.Random(0))
    supernet.pack(path, JointSpec(dict.fromkeys('ab', spec)))
    models = load_tasks(path)
    for model in models.values():
        assert not any(map(parametrize.is_parametrized, model.modules()))
    weights = [dict(model.backbone.named_parameters()) for model in models.values()]
    for name, weight in weights[0].items():
        assert weight.data_ptr() == weights[1][name].data_ptr()


def test_tasks_that_were_added_share_a_backbone_with_those_before(data, tmp_path):
    supernet, path = Supernet(data, 'AllShared'), tmp_path / 'a.safetensors'
    first, second = (supernet.sample(random.Random(seed), 'a')['a'] for seed in (0, 1))
    assert first != second
    supernet.pack(path, JointSpec(dict(a=first, b=second)))
    supernet.add(path, JointSpec(dict(c=second)))
    supernet.add(path, JointSpec(dict(d=first)))
    assert same_backbones(Deposit(path)) == [('a', 'd'), ('b', 'c')]
    assert same_backbones(Deposit(path), ['c', 'a', 'b']) == [('c', 'b'), ('a',)]
    remove(path, 'a')
    models = load_tasks(path)
    assert models['b'].backbone is models['c'].backbone is not models['d'].backbone


@torch.no_grad()
def test_just_some_tasks_and_copies_of_them(data, tmp_path):
    supernet, path = Supernet(data, 'Sequential'), tmp_path / 'a.safetensors'
    supernet.pack(path, supernet.sample(random.Random(0), 'a', 'b', 'c'))
    models = load_tasks(path, ['c', 'a'])
    assert list(models) == ['c', 'a']
    twin = copy.deepcopy(models['c'])
    assert torch.equal(twin.backbone(images())[0], models['c'].backbone(images())[0])
    with raises_naming(ValueError, "'d'", "['a', 'b', 'c']"):
        load_tasks(path, ['a', 'd'])


@torch.no_grad()
def test_weights_in_half_the_bits(data, tmp_path):
    """In their own data type: nothing is converted on the way."""
    supernet, path = Supernet(data, 'Sequential'), tmp_path / 'a.safetensors'
    supernet.model.to(torch.bfloat16)
    cfg = resolve_joint_config(supernet.cfg)
    joint = supernet.sample(random.Random(0), *supernet.model.tasks)
    counts = pack(path, supernet.model, joint, cfg.model.backbone, infos(cfg))
    deposit = Deposit(path)
    assert deposit.dtype is torch.bfloat16
    assert deposit.size_of('shared/') == 2 * counts.shared
    models = load_tasks(path, ['a'])
    for model in (models['a'], deposit.load_task('a')):
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
        expected = supernet.model.eval().backbone.forward_subnet(
            images().bfloat16(), 'a', joint['a']
        )
        assert torch.equal(model.backbone(images().bfloat16())[0], expected[0])
