"""New tasks in stages, and what a training that froze nothing makes of the old ones."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers import TASKS, build_runner, read_json
from new_tasks import architectures, base_config, new_config, train_base
from refusals import raises_naming

from mdl_nas_mm.apis import incremental, save_deposit
from mdl_nas_mm.apis.incremental import add_tasks, overwrite_shared, validation_images
from mdl_nas_mm.apis.pipeline import Stages
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.tasks import resolve_joint_config

EXPECTED = dict(first=1, second=1, add=1)


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    """A supernet's checkpoint, its resolved config and its deposit."""
    folder = tmp_path_factory.mktemp('base')
    cfg = base_config(data)
    supernet = train_base(cfg, folder)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg = resolve_joint_config(cfg)
    deposit = folder / 'deposit.safetensors'
    save_deposit(cfg, supernet, architectures(), deposit)
    return supernet, cfg, deposit


def configs(data):
    """One like classification, one like segmentation; their base is given later."""
    found = dict(
        first=new_config(data, 'later', None, name='first'),
        second=new_config(data, 'later', None, name='second', like='seg'),
    )
    for cfg in found.values():
        cfg.train_cfg.max_iters = 2
        cfg.val_cfg = dict(type='MultiTaskValLoop')
    return found


@pytest.fixture(scope='module')
def grown(data, base, tmp_path_factory):
    folder = tmp_path_factory.mktemp('grown')
    return folder, add_tasks(base[2], configs(data), Stages(folder, EXPECTED))


def test_tasks_are_added_to_a_copy(base, grown):
    folder, summary = grown
    before, after = Deposit(base[2]), Deposit(summary['deposit'])
    assert list(before.tasks) == list(TASKS)
    assert list(after.tasks) == [*TASKS, 'first', 'second']
    assert summary['differences'] == dict.fromkeys(TASKS, 0.0)
    assert set(summary['seconds']) == set(EXPECTED)
    added = sum(result['added'] for result in summary['tasks'].values())
    assert after.counts.total - before.counts.total == added
    for task, result in summary['tasks'].items():
        assert result['metric'] == after.tasks[task]['score']
        assert 0 <= result['score'] <= 100
    assert read_json(folder / 'add' / 'added.json')['tasks'] == summary['tasks']


def test_finished_stages_do_nothing_again(data, base, grown, monkeypatch):
    folder, summary = grown
    for name in ('train_stage', '_add_all'):
        monkeypatch.setattr(incremental, name, lambda *_: pytest.fail('ran again'))
    assert add_tasks(base[2], configs(data), Stages(folder, EXPECTED)) == summary


def test_an_old_task_that_answers_otherwise_is_an_error(data, base, grown, tmp_path, monkeypatch):
    folder = shutil.copytree(grown[0], tmp_path / 'work')
    shutil.rmtree(folder / 'add')
    state = read_json(folder / 'stages.json')
    del state['add']
    (folder / 'stages.json').write_text(json.dumps(state))
    found = dict.fromkeys(TASKS, 0.0) | dict(det=1e-7)
    monkeypatch.setattr(incremental, 'largest_differences', lambda *_: found)
    with raises_naming(RuntimeError, "'det'", '1e-07'):
        add_tasks(base[2], configs(data), Stages(folder, EXPECTED))


def test_images_are_those_of_the_tasks(base):
    images = validation_images(base[2])
    assert [image.shape for image in images] == [(20, 20, 3), (48, 48, 3), (32, 32, 3)]
    assert all(image.dtype == np.uint8 and image.std() > 5 for image in images)


def test_what_a_training_without_freezing_makes_of_the_old_tasks(data, base, tmp_path):
    supernet, cfg, _ = base
    new = new_config(data, supernet, architectures(), changes=dict(trained='all'))
    build_runner(new, tmp_path).train()
    overwrite_shared(supernet, tmp_path / 'iter_4.pth', tmp_path / 'overwritten.pth')
    old, changed = (load_supernet(cfg, path) for path in (supernet, tmp_path / 'overwritten.pth'))
    trained = read_checkpoint(tmp_path / 'iter_4.pth')['state_dict']
    weights = dict(old.named_parameters())
    for name, parameter in changed.named_parameters():
        own = '.specific.' in name or name.startswith('tasks.')
        assert torch.equal(parameter, weights[name] if own else trained[name]), name
    with torch.no_grad():
        pixels = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        for task, spec in architectures().items():
            first, second = (
                model.backbone.forward_subnet(pixels, task, spec)[0] for model in (old, changed)
            )
            assert not torch.equal(first, second)


def test_frozen_training_has_no_shared_weights_to_overwrite_with(data, base, tmp_path):
    build_runner(new_config(data, base[0], architectures()), tmp_path).train()
    with raises_naming(ValueError, 'iter_4.pth', 'shared weight'):
        overwrite_shared(base[0], tmp_path / 'iter_4.pth', tmp_path / 'overwritten.pth')
    assert not (tmp_path / 'overwritten.pth').exists()
