"""Configs of the package stand under a user's own config, in whatever folder that is."""

from pathlib import Path

import pytest
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.tasks.subnets import read_given_spec
from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.upstream import upstream_config_path

ROOT = Path(__file__).resolve().parents[2] / 'configs'


def joint_configs():
    """Those that name tasks, by their path below ``configs``."""
    found = (path for path in sorted(ROOT.rglob('*.py')) if '_base_' not in path.parts)
    return [str(path.relative_to(ROOT)) for path in found if 'tasks' not in path.parts]


@pytest.mark.parametrize('name', joint_configs())
def test_a_child_elsewhere_finds_what_it_names(name, tmp_path):
    child = tmp_path / 'mine.py'
    child.write_text(f'_base_ = [{str(ROOT / name)!r}]\n')
    cfg = Config.fromfile(child)
    named = [task.config for task in cfg.get('tasks', {}).values() if 'config' in task]
    # What a search of one's own has found lies where one works.
    spec = cfg.get('joint_spec')
    if isinstance(spec, str) and not spec.startswith('work_dirs/'):
        named.append(spec)
    for each in named:
        assert upstream_config_path(each, tmp_path).is_file()


def test_architectures_of_a_package_are_read_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'mdl_nas/archs/mdl-nas-b_mask.json'
    given = [
        read_given_spec(source, TRANSFORMER, '.')
        for source in (f'mdl_nas_mm::{name}', str(ROOT / name))
    ]
    assert given[0] == given[1]
    with raises_naming(FileNotFoundError, 'mdl_nas_mm::mdl_nas/archs/none.json'):
        read_given_spec('mdl_nas_mm::mdl_nas/archs/none.json', TRANSFORMER, '.')


def test_a_demo_task_names_no_file_of_a_folder_that_it_is_run_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'demo/tasks/pose.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert len(loader.dataset.metainfo.keypoint_info) == 5


def test_a_checkout_says_where_a_whole_config_of_its_own_lies(tmp_path):
    """It has just bases and tasks where mmengine looks, so that mim finds the others once."""
    path = ROOT / 'scenes/swin-t_nyud-3tasks.py'
    child = tmp_path / 'mine.py'
    child.write_text("_base_ = ['mdl_nas_mm::scenes/swin-t_nyud-3tasks.py']\n")
    with raises_naming(FileNotFoundError, child, 'in a checkout', path):
        read_config(child)
    child.write_text(f'_base_ = [{str(path)!r}]\n')
    assert set(read_config(child).tasks) == {'seg', 'depth', 'normals'}
