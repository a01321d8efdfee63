"""Every joint config of ours can be deposited, and its tasks tested, with nothing to trust."""

import pytest
from helpers import ROOT
from mmengine.config import Config

from mdl_nas_mm.apis.metainfo import self_contained
from mdl_nas_mm.deposit.configs import TESTED, needed
from mdl_nas_mm.tasks import resolve_joint_config

FOLDERS = ('demo', 'mdl_nas', 'multi_task')
PATHS = [path for folder in FOLDERS for path in sorted((ROOT / 'configs' / folder).glob('*.py'))]


@pytest.mark.parametrize('path', PATHS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_nothing_has_to_be_trusted(path):
    cfg = Config.fromfile(path)
    if 'tasks' not in cfg or 'base' in cfg or isinstance(cfg.get('joint_spec'), str):
        pytest.skip('no joint config of its own')
    cfg = resolve_joint_config(cfg, check_files=False)
    for task, model in cfg.model.tasks.items():
        info = dict(scope=model.scope, model=self_contained(model.model))
        info |= {key: self_contained(cfg[key][task]) for key in TESTED if key in cfg}
        assert needed(task, info, ()) == ()
