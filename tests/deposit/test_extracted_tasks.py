"""A task out of the deposit answers bit for bit like its subnet in the supernet."""

import copy
import random

import pytest
import torch
from deposits import SHARINGS, pack_joint
from helpers import TASKS, build_model, differences, joint_config, plain, predict, random_joint

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config

# Of the supernet where none is active; what is extracted has its own.
ARCH = dict(embed_dim=16, num_heads=[1], mlp_ratio=2, share_ratio=0.6)
SIZES = ((16, 16), (20, 28), (13, 9))


@pytest.fixture(scope='module')
def batches(data):
    """A validation batch of each task."""
    cfg = resolve_joint_config(joint_config(data))
    loaders = {
        t: build_eval_loader(t, i.scope, cfg.val_dataloader[t]) for t, i in cfg.tasks.items()
    }
    return {task: next(iter(loader)) for task, loader in loaders.items()}


@torch.no_grad()
def check(model, joint, path, batches):
    """Raw features of the backbone at several sizes, and upstream's predictions."""
    deposit = Deposit(path)
    model.eval()
    for task in TASKS:
        loaded = deposit.load_task(task)
        assert not loaded.training and type(loaded) is type(model.tasks[task])
        for height, width in SIZES:
            generator = torch.Generator().manual_seed(height)
            images = torch.randn(2, 3, height, width, generator=generator)
            expected = model.backbone.forward_subnet(images, task, joint[task])
            found = loaded.backbone(images)
            assert len(found) == len(expected)
            assert all(torch.equal(a, b) for a, b in zip(found, expected)), (task, joint[task])
        expected = predict(model, task, joint[task], copy.deepcopy(batches[task]))
        found = loaded.val_step(copy.deepcopy(batches[task]))
        assert differences(plain(found), plain(expected)) == [], (task, joint[task])
        if task == 'det':
            assert any(len(sample.pred_instances) for sample in found)


@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_extracted_tasks_equal_their_subnets(data, batches, sharing, tmp_path):
    cfg = resolve_joint_config(joint_config(data, sharing))
    model, rng = build_model(cfg), random.Random(0)
    for i in range(3):
        joint = random_joint(model, rng)
        pack_joint(tmp_path / f'{i}.safetensors', cfg, model, joint)
        check(model, joint, tmp_path / f'{i}.safetensors', batches)


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 5))
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_many_extracted_tasks_equal_their_subnets(data, batches, sharing, seed, tmp_path):
    """Of a deeper space whose blocks have their own choices, with share ratios of 0 and 1."""
    cfg = joint_config(data, sharing)
    cfg.backbone.space = dict(
        embed_dim=(12, 20, 24),
        depth=(1, 2, 3),
        num_heads=[(1, 3), (2,), (1, 2, 3)],
        mlp_ratio=(0.5, 1.3, 2),
        attn_share_ratio=(0, 0.25, 0.5, 1),
        ffn_share_ratio=(0, 0.4, 0.9),
    )
    cfg = resolve_joint_config(cfg)
    model, rng = build_model(cfg, seed), random.Random(seed)
    for i in range(10):
        joint = random_joint(model, rng)
        pack_joint(tmp_path / f'{i}.safetensors', cfg, model, joint)
        check(model, joint, tmp_path / f'{i}.safetensors', batches)


@pytest.mark.parametrize(
    'changes',
    [
        {'backbone.class_token': False, 'backbone.max_relative_position': 0},
        {'backbone.absolute_position': False, 'backbone.qkv_bias': False},
        {'backbone.img_size': (20, 12), 'backbone.with_cp': True, 'backbone.drop_path_rate': 0.5},
        {'backbone.task': 'det', 'backbone.arch': ARCH},
    ],
    ids=str,
)
def test_other_shapes_of_the_backbone(data, batches, changes, tmp_path):
    cfg = resolve_joint_config(joint_config(data, 'Mask', changes))
    model = build_model(cfg)
    joint = random_joint(model, random.Random(1))
    pack_joint(tmp_path / 'a.safetensors', cfg, model, joint)
    check(model, joint, tmp_path / 'a.safetensors', batches)


@pytest.mark.parametrize('share', [0, -1])
def test_the_smallest_and_the_largest(data, batches, share, tmp_path):
    cfg = resolve_joint_config(joint_config(data, 'Sequential'))
    model = build_model(cfg)
    space = model.backbone.space
    specs = (space.smallest(share), space.largest(share), space.smallest(-1 - share))
    joint = JointSpec(dict(zip(TASKS, specs)))
    pack_joint(tmp_path / 'a.safetensors', cfg, model, joint)
    check(model, joint, tmp_path / 'a.safetensors', batches)


def test_extracted_backbone_has_just_its_own_weights(data, tmp_path):
    cfg = resolve_joint_config(joint_config(data, 'Mask'))
    model = build_model(cfg)
    joint = random_joint(model, random.Random(2))
    counts = pack_joint(tmp_path / 'a.safetensors', cfg, model, joint)
    deposit = Deposit(tmp_path / 'a.safetensors')
    for task in TASKS:
        loaded = deposit.load_task(task)
        assert not any('specific' in key or 'score' in key for key in loaded.state_dict())
        sizes = [parameter.numel() for parameter in loaded.backbone.parameters()]
        assert sum(sizes) == counts.backbones[task]
        everything = sum(parameter.numel() for parameter in loaded.parameters())
        assert everything == counts.backbones[task] + counts.heads[task]
        # An ordinary model: it needs nothing of this package around it to run or to be copied.
        twin = copy.deepcopy(loaded)
        images = torch.zeros(1, 3, 16, 16)
        assert torch.equal(twin.backbone(images)[0], loaded.backbone(images)[0])


def test_loading_one_task_does_not_depend_on_what_was_loaded_before(data, tmp_path):
    cfg = resolve_joint_config(joint_config(data, 'Mask'))
    model = build_model(cfg)
    pack_joint(tmp_path / 'a.safetensors', cfg, model, random_joint(model, random.Random(3)))
    together = Deposit(tmp_path / 'a.safetensors')
    states = {task: together.load_task(task).state_dict() for task in TASKS}
    torch.manual_seed(99)
    for task in reversed(TASKS):
        alone = Deposit(tmp_path / 'a.safetensors').load_task(task).state_dict()
        assert differences(dict(alone), dict(states[task])) == []
