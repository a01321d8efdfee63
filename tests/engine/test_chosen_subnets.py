"""Training, validation and search with what a config says about its subnets, and nothing else."""

import json
import random
import re

import pytest
import torch
from helpers import TASKS, build_runner, joint_config
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.engine.checkpoint import resume_from
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import check_search, run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import (
    MultiTaskModel,
    choose_joint_spec,
    fixed_spec,
    resolve_joint_config,
)

STEPS = 3


@pytest.fixture
def seen(monkeypatch):
    """(what is done, task, architecture) of every loss, and of every subnet that is evaluated."""
    calls = []

    def record(name, method):
        def recording(self, task, spec, *data):
            calls.append((name, task, spec))
            return method(self, task, spec, *data)

        monkeypatch.setattr(MultiTaskModel, name, recording)

    record('loss', MultiTaskModel.loss)
    record('subnet', MultiTaskModel.subnet)
    return calls


@pytest.fixture
def cfg(data):
    cfg = joint_config(data, changes={'train_cfg.max_iters': STEPS})
    cfg.train_cfg.pop('sampler')
    cfg.pop('search_cfg')
    return cfg


@pytest.fixture
def joint(cfg):
    space, rng = family_of(cfg.backbone).space(cfg.backbone.space), random.Random(0)
    return JointSpec(dict(cls=space.smallest(0), det=space.sample(rng), seg=space.smallest()))


def test_each_task_trains_and_is_evaluated_with_its_architecture(cfg, joint, tmp_path, seen):
    cfg.joint_spec = joint.to_dict()
    runner = build_runner(cfg, tmp_path)
    before = {name: p.detach().clone() for name, p in runner.model.backbone.named_parameters()}
    runner.train()
    trained = [('loss', task, joint[task]) for _ in range(STEPS) for task in TASKS]
    assert [call for call in seen if call[0] == 'loss'] == trained
    evaluated = {call[1:] for call in seen if call[0] == 'subnet'}
    assert evaluated == set(joint.items())
    # No depth of 2 was used by ``cls`` and ``seg``, so that their own weights there are untouched.
    moved = {
        name
        for name, p in runner.model.backbone.named_parameters()
        if not torch.equal(p, before[name])
    }
    assert any('blocks.0' in name and 'specific.cls' in name for name in moved)
    assert not any('blocks.1' in name and 'specific.cls' in name for name in moved)


def test_checkpoint_carries_it(cfg, joint, tmp_path, seen):
    """Also where the file that the config named is gone, and into the training that goes on."""
    file = tmp_path / 'mine.json'
    file.write_text(json.dumps(joint.to_dict()))
    cfg.joint_spec, cfg.val_cfg = str(file), None
    build_runner(cfg, tmp_path / 'work').train()
    file.unlink()
    path = tmp_path / 'work' / f'iter_{STEPS}.pth'
    text = torch.load(path, weights_only=False)['meta']['cfg']
    again = Config.fromstring(text, '.py')
    assert fixed_spec(again) == joint
    again.train_cfg.max_iters = STEPS + 1
    again.work_dir = str(tmp_path / 'work')
    resume_from(again, 'auto')
    seen.clear()
    build_runner(again, tmp_path / 'work').train()
    assert seen == [('loss', task, joint[task]) for task in TASKS]


def test_another_joint_spec_can_be_evaluated(cfg, joint, tmp_path, seen):
    """As ``tools/test.py --joint-spec`` asks for."""
    cfg.joint_spec = joint.to_dict()
    space = family_of(cfg.backbone).space(cfg.backbone.space)
    other = JointSpec(dict.fromkeys(TASKS, space.largest()))
    choose_joint_spec(cfg, other.to_dict())
    build_runner(cfg, tmp_path).val()
    assert {call[1:] for call in seen} == set(other.items())


@pytest.fixture
def part(cfg):
    """Fixed sizes, with share ratios to choose from."""
    cfg.subspace = dict(cfg.backbone.space, embed_dim=24, depth=2, num_heads=[[2], [1]])
    cfg.subspace.mlp_ratio = 1
    return family_of(cfg.backbone).space(cfg.subspace)


def test_a_subspace_is_trained_and_its_largest_evaluated(cfg, part, tmp_path, seen):
    build_runner(cfg, tmp_path).train()
    trained = [call for call in seen if call[0] == 'loss']
    # Sizes do not vary, so that there is one subnet a step and task, with ratios drawn anew.
    assert [task for _, task, _ in trained] == list(TASKS) * STEPS
    for _, _, spec in trained:
        part.check(spec)
    assert len({spec for _, _, spec in trained}) > 1
    evaluated = {(task, part.largest()) for task in TASKS}
    assert {call[1:] for call in seen if call[0] == 'subnet'} == evaluated


def test_a_search_stays_in_the_subspace(cfg, part, tmp_path):
    cfg.val_cfg = None
    cfg.train_cfg.max_iters = 1
    evolution = dict(population=4, generations=2, parents=2, crossovers=1, mutations=1)
    cfg.search_cfg = dict(budget='1G', evolution=evolution, tied='all')
    build_runner(cfg, tmp_path).train()
    result = run_search(resolve_joint_config(cfg), tmp_path / 'iter_1.pth', tmp_path)
    for specs in result.scored.values():
        assert len(specs) > 1
        for spec in specs:
            part.check(spec)
    assert len(set(result.best.values())) == 1
    report = json.loads((tmp_path / 'joint_spec.json').read_text())
    assert TRANSFORMER.read(report['joint_spec']['det']) == result.best['det']


def test_the_budget_is_checked_against_the_subspace(cfg, part):
    cfg.search_cfg = dict(budget=1)
    in_part = least_total(cfg)
    cfg.subspace = None
    assert in_part > least_total(cfg)


def least_total(cfg):
    """The smallest possible total, as the refusal of a budget of 1 names it."""
    with raises_naming(ValueError, 'budget') as error:
        check_search(resolve_joint_config(cfg))
    named = re.findall(r'\d[\d,]*', str(error.value))
    return max(int(number.replace(',', '')) for number in named)
