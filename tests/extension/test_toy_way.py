"""What a user's own family and method have trained: searched, deposited, taken out, added to."""

import pytest
import torch
from extension.toy import FAMILY, TASKS, TRUST, toy_config
from helpers import build_runner, only, read_json
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from refusals import raises_naming

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, extract, largest_differences, verify
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope


@pytest.fixture(scope='module')
def supernet(data, trained, quick_mmengine):
    """The resolved config, and the trained checkpoint."""
    return resolve_joint_config(toy_config(data, trained)), trained / 'iter_4.pth'


@pytest.fixture(scope='module')
def found(supernet, tmp_path_factory):
    """The folder of a search, and what it found."""
    folder = tmp_path_factory.mktemp('search')
    return folder, run_search(*supernet, folder)


@pytest.fixture(scope='module')
def deposit(supernet, found, tmp_path_factory):
    path = tmp_path_factory.mktemp('deposit') / 'toy.safetensors'
    save_deposit(*supernet, found[1].best, path, trust=TRUST)
    return path


def images(size=(20, 24)):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def test_a_search_goes_by_the_score_of_the_method(found):
    folder, result = found
    report = read_json(folder / 'joint_spec.json')
    assert result.total == report['total'] <= report['budget']
    described = read_json(folder / 'report.json')['score']
    assert described == dict(type='NearestScore', known=6)
    lines = (folder / 'history.jsonl').read_text().splitlines()
    # The samples of both tasks, and at most two finalists.
    assert 6 <= len(lines) - 1 <= 10


@torch.no_grad()
def test_deposited_tasks_answer_like_their_subnets(supernet, found, deposit):
    assert all(verify(deposit, TRUST).values())
    model, joint = load_supernet(*supernet).eval(), found[1].best
    opened = Deposit(deposit, TRUST)
    assert opened.joint == joint
    for task in TASKS:
        loaded = opened.load_task(task).backbone(images())
        expected = model.backbone.forward_subnet(images(), task, joint[task])
        assert torch.equal(loaded[0], expected[0])


def test_whoever_opens_it_has_to_trust_the_class(deposit):
    with raises_naming(ValueError, 'ToyMixer', f'--trust {TRUST[0]} --import {FAMILY}'):
        Deposit(deposit)


@torch.no_grad()
def test_a_task_is_extracted_with_the_class_and_where_it_comes_from(deposit, tmp_path):
    for task in TASKS:
        cfg = Config.fromfile(extract(deposit, task, tmp_path, trust=TRUST))
        assert FAMILY in cfg.custom_imports.imports
        with task_scope(cfg.default_scope):
            model = MODELS.build(cfg.model).eval()
        load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')
        expected = Deposit(deposit, TRUST).load_task(task).extract_feat(images())
        assert torch.equal(model.extract_feat(images())[0], expected[0])
    with raises_naming(ValueError, 'no class of mmpretrain'):
        extract(deposit, 'cls', tmp_path / 'stock', stock=True, trust=TRUST)


def test_a_task_is_added(data, deposit, tmp_path):
    cfg = only(toy_config(data, tmp_path), 'cls')
    cfg.tasks = dict(more=cfg.tasks.cls)
    for key in ('backbone', 'search_cfg'):
        cfg.pop(key)
    cfg.base, cfg.inherit, cfg.trust = str(deposit), 'cls', TRUST
    cfg.train_cfg.pop('sampler')
    cfg.train_cfg.max_iters = 2
    build_runner(cfg, tmp_path).train()
    grown = tmp_path / 'grown.safetensors'
    grown.write_bytes(deposit.read_bytes())
    joint = JointSpec(dict(more=Deposit(deposit, TRUST).joint['cls']))
    add_to_deposit(resolve_joint_config(cfg), tmp_path / 'iter_2.pth', joint, grown, trust=TRUST)
    assert list(Deposit(grown, TRUST).tasks) == [*TASKS, 'more']
    assert largest_differences(deposit, grown, trust=TRUST) == dict.fromkeys(TASKS, 0.0)
