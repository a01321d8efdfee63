"""A kind of sharing that somebody registers goes all the way, without a change of the package."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from deposits import pack_joint
from extracting import VIT, VIT_SPACE, WIDE, write_deposit
from helpers import TASKS, build_model, build_runner, joint_config, random_joint
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from refusals import raises_naming

from mdl_nas_mm.deposit import Deposit, extract
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.registry import SHARING_POLICIES
from mdl_nas_mm.search.exact.regions import shared_regions
from mdl_nas_mm.sharing import SharingKind, read_policy
from mdl_nas_mm.spec import BatchLedger, footprint
from mdl_nas_mm.spec.owners import read_name
from mdl_nas_mm.tasks import resolve_joint_config, task_scope


@dataclass(frozen=True)
class EveryOther(SharingKind):
    """Shares every ``step``-th channel, whatever the share ratio."""

    step: int = 2

    def shared_channels(self, share_ratio, channels, groups, scores):
        return np.tile(np.arange(channels) % self.step == 0, (groups, 1))


@pytest.fixture(scope='module', autouse=True)
def registered():
    SHARING_POLICIES.register_module(module=EveryOther)
    yield
    del SHARING_POLICIES.module_dict['EveryOther']


@pytest.fixture(scope='module')
def cfg(data, registered):
    cfg = joint_config(data, dict(type='EveryOther', step=3))
    cfg.backbone.update(VIT, space=VIT_SPACE)
    return resolve_joint_config(cfg)


def marks(model, joint):
    """Name -> boolean (groups, rows, columns) of what all tasks, and of what one, uses."""
    found = {}
    for task, spec in joint.items():
        for use in model.backbone.layout.uses(spec):
            for group, row in np.ndindex(use.groups, use.channels):
                is_shared = use.role == 'stem' or row % 3 == 0
                key = (use.name, None if is_shared else task)
                size = (use.groups, use.max_channels, use.max_columns)
                found.setdefault(key, np.zeros(size, bool))[group, row, : use.columns] = True
    return found


def test_counts_are_those_by_hand(cfg):
    model, rng = build_model(cfg), random.Random(0)
    ledger, joints = model.backbone.ledger(), []
    for _ in range(5):
        joint = random_joint(model, rng)
        joints.append(joint)
        found, counts = marks(model, joint), ledger.count(joint)
        assert counts.shared == sum(m.sum() for (_, task), m in found.items() if task is None)
        for own in TASKS:
            assert counts.specific[own] == sum(m.sum() for (_, t), m in found.items() if t == own)
        for (name, _), lengths in footprint(ledger, joint.items()).items():
            entry = read_name(name)
            task = None if entry.owners.are_all else entry.owners.label
            expected = found.get((entry.plain, task))
            assert lengths.sum() == (0 if expected is None else expected.sum()), name
    totals = [ledger.count(joint).backbone_total for joint in joints]
    assert BatchLedger(ledger).totals(joints).tolist() == totals
    specs = list({spec for joint in joints for spec in joint.values()})
    sizes, shares = shared_regions(ledger, [(TASKS[0], spec) for spec in specs])
    for joint in joints:
        rows = [specs.index(spec) for spec in joint.values()]
        assert sizes[shares[rows].any(axis=0)].sum() == ledger.count(joint).shared


def test_training_moves_what_is_used_alone(cfg, tmp_path):
    """Shared rows of the tasks' own weights, and own rows of the shared ones, stay as they are."""
    cfg = cfg.copy()
    cfg.train_cfg.max_iters = 2
    runner = build_runner(cfg, tmp_path)
    runner._init_model_weights()
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    after = dict(runner.train().named_parameters())
    own_moved = 0
    for name, value in before.items():
        entry = read_name(name)
        if '.attn.' not in name and '.mlp.' not in name:
            continue
        groups = 3 if 'qkv' in name else 1
        moved = (value != after[name]).view(groups, len(value) // groups, -1).any(0).any(1)
        unused = torch.arange(len(moved)) % 3 == 0
        assert not moved[~unused if entry.owners.are_all else unused].any(), name
        own_moved += 0 if entry.owners.are_all else int(moved.sum())
    assert own_moved


@torch.no_grad()
def test_deposited_tasks_answer_as_their_subnets(cfg, tmp_path):
    model, rng, path = build_model(cfg).eval(), random.Random(1), tmp_path / 'a.safetensors'
    joint = random_joint(model, rng)
    counts = pack_joint(path, cfg, model, joint)
    deposit = Deposit(path)
    assert deposit.counts == counts == model.backbone.ledger(model.head_sizes()).count(joint)
    images = torch.randn(2, 3, 16, 16)
    for task in TASKS:
        expected = model.backbone.forward_subnet(images, task, joint[task])
        for ours, theirs in zip(expected, deposit.load_task(task).backbone(images), strict=True):
            assert torch.equal(ours, theirs)


@torch.no_grad()
def test_an_extracted_task_answers_as_its_subnet(cfg, tmp_path):
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, WIDE))
    model, spec = build_model(cfg).eval(), Deposit(path).joint['cls']
    written = Config.fromfile(extract(path, 'cls', tmp_path / 'cls'))
    assert written.model.backbone.type == 'VisionTransformer'
    with task_scope(written.default_scope):
        stock = MODELS.build(written.model).eval()
    load_checkpoint(stock, written.load_from, 'cpu', strict=True, logger='silent')
    images = torch.randn(2, 3, 16, 16)
    with activate('cls', spec), model.scope('cls'):
        expected = model.tasks['cls'](images, mode='tensor')
    torch.testing.assert_close(stock(images, mode='tensor'), expected, rtol=1e-4, atol=1e-5)


def test_settings_are_checked(registered):
    assert read_policy(dict(type='EveryOther', step=4)) == EveryOther(4)
    with raises_naming(ValueError, "'stride'", "'step'"):
        read_policy(dict(type='EveryOther', stride=2))
