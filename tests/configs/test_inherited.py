"""Configs of the package stand under a user's own config, in whatever folder that is."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mdl_nas_mm.utils.upstream import upstream_config_path

ROOT = Path(__file__).resolve().parents[2] / 'configs'


def joint_configs():
    """Those that name tasks, by their path below ``configs``."""
    found = (path for path in sorted(ROOT.rglob('*.py')) if '_base_' not in path.parts)
    return [str(path.relative_to(ROOT)) for path in found if 'tasks' not in path.parts]


@pytest.mark.parametrize('name', joint_configs())
def test_a_child_elsewhere_finds_the_configs_of_its_tasks(name, tmp_path):
    child = tmp_path / 'mine.py'
    child.write_text(f'_base_ = [{str(ROOT / name)!r}]\n')
    tasks = Config.fromfile(child).get('tasks', {})
    for task in tasks.values():
        if 'config' in task:
            assert upstream_config_path(task.config, tmp_path).is_file()


def test_a_demo_task_names_no_file_of_a_folder_that_it_is_run_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'demo/tasks/pose.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert len(loader.dataset.metainfo.keypoint_info) == 5
