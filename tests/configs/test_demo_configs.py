"""Each stage of the demo goes on from the text of its config, as its processes and resuming do."""

import pytest
from described import build, describe_deposit
from helpers import ROOT
from mmengine.config import Config

from mdl_nas_mm.tasks import resolve_joint_config

FOLDER = ROOT / 'configs' / 'demo'


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    cfg = resolve_joint_config(Config.fromfile(FOLDER / 'demo_joint.py'), check_files=False)
    joint = {task: space.largest() for task, space in build(cfg).spaces.items()}
    path = tmp_path_factory.mktemp('base') / 'deposit.safetensors'
    describe_deposit(cfg, joint, path)
    return path


@pytest.mark.parametrize('name', [path.stem for path in sorted(FOLDER.glob('*.py'))])
def test_what_a_config_resolves_to_is_read_again(name, base, tmp_path):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    if 'base' in cfg:
        cfg.base = str(base)
    resolved = resolve_joint_config(cfg, check_files=False)
    resolved.dump(tmp_path / 'resolved.py')
    read = Config.fromfile(tmp_path / 'resolved.py')
    assert resolve_joint_config(read, check_files=False).to_dict() == resolved.to_dict()
