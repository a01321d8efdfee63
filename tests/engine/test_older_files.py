"""What version 0.1.0 wrote before families and methods became folders of their own is read.

``tests/data/older`` is of commit 2bf53e3: a supernet of two classifiers after two iterations, the
search in it, its deposit, and what that version computed with them.
"""

import copy
import lzma

import numpy as np
import pytest
import torch
from helpers import ROOT, build_runner, joint_config, only, read_json
from safetensors import safe_open

from mdl_nas_mm.deposit import Deposit, remove
from mdl_nas_mm.deposit.verify import verify
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.search import choose_again
from mdl_nas_mm.tasks import resolve_joint_config

OLDER = ROOT / 'tests' / 'data' / 'older'
TASKS = ('cls', 'other')
SPACE = dict(
    embed_dim=(4, 8), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=(0.3, 0.6)
)


@pytest.fixture(scope='module')
def expected():
    with np.load(OLDER / 'expected.npz') as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('older') / 'iter_2.pth'
    path.write_bytes(lzma.decompress((OLDER / 'iter_2.pth.xz').read_bytes()))
    return path


@pytest.fixture
def cfg(data):
    """The config of the supernet, as it is written today."""
    cfg = only(joint_config(data), 'cls')
    cfg.tasks.cls.model.head.in_channels = 8
    cfg.tasks.other = copy.deepcopy(cfg.tasks.cls)
    cfg.backbone.update(space=SPACE, head_dim=4)
    return cfg


def logits(model, images):
    with torch.no_grad():
        return model.head(model.extract_feat(images))


def test_a_deposit_answers_as_it_did(expected):
    path = OLDER / 'deposit.safetensors'
    assert all(verify(path).values())
    for task in TASKS:
        found = logits(Deposit(path).load_task(task), expected['images'])
        torch.testing.assert_close(found, expected[f'deposit_{task}'])


def test_a_checkpoint_gives_the_supernet_that_it_was(cfg, checkpoint, expected):
    model = load_supernet(resolve_joint_config(cfg), checkpoint).eval()
    for task in TASKS:
        with model.scope(task), activate(task, model.backbone.space.largest()):
            found = logits(model.tasks[task], expected['images'])
        torch.testing.assert_close(found, expected[f'checkpoint_{task}'])


def test_a_training_goes_on_from_it(cfg, checkpoint, tmp_path):
    before = read_checkpoint(checkpoint)
    cfg.train_cfg.max_iters = 3
    cfg.load_from, cfg.resume = str(checkpoint), True
    build_runner(cfg, tmp_path).train()
    after = read_checkpoint(tmp_path / 'iter_3.pth')
    assert after['meta']['iter'] == 3 and after['state_dict'].keys() == before['state_dict'].keys()
    steps = {int(state['step']) for state in after['optimizer']['state'].values()}
    assert max(steps) == 3


def test_a_search_is_chosen_from_again(tmp_path):
    for point in read_json(OLDER / 'front.json'):
        chosen = choose_again(OLDER / 'history.jsonl', point['total'], tmp_path)
        assert chosen.joint.to_dict() == point['joint_spec']
        assert (chosen.total, chosen.scores) == (point['total'], point['scores'])


def test_a_deposit_that_was_added_to_is_read_and_changed(tmp_path):
    """``grown.safetensors`` is of commit 906d187, version 2: two tasks, and a third on top."""
    path = tmp_path / 'a.safetensors'
    path.write_bytes((OLDER / 'grown.safetensors').read_bytes())
    with np.load(OLDER / 'grown.npz') as arrays:
        expected = {name: torch.from_numpy(array) for name, array in arrays.items()}
    assert all(verify(path).values()) and version(path) == '2'
    assert Deposit(path).manifest['history'][1]['base_segments']
    for tasks in ('abc', 'ac'):
        for task in tasks:
            found = logits(Deposit(path).load_task(task), expected['images'])
            torch.testing.assert_close(found, expected[task])
        if 'b' in tasks:
            remove(path, 'b')
            assert version(path) == '7' and all(verify(path).values())


def version(path):
    with safe_open(path, 'pt') as file:
        return file.metadata()['version']
