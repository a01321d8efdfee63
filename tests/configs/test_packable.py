"""Every joint config of ours can be deposited, and its tasks tested, with nothing to trust."""

import pytest
from helpers import ROOT
from mmengine.config import Config

from mdl_nas_mm.apis.metainfo import self_contained
from mdl_nas_mm.deposit.configs import TESTED, needed, stored_backbone
from mdl_nas_mm.tasks import resolve_joint_config

FOLDERS = ('autotaskformer', 'demo', 'mdl_nas', 'multi_task', 'scenes', 'zoo')
# These need a deposit that another config makes.
ON_A_BASE = ('demo_pose', 'demo_sketch', 'generalise_taskonomy-3tasks', 'transfer_nyud-3tasks')
# The files of CIFAR-100 are pickles, so that its data set has to be trusted.
OF_PICKLES = '_cifar100-20tasks'
PATHS = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / 'configs' / folder).glob('*.py'))
    if path.stem not in ON_A_BASE and not path.stem.endswith(OF_PICKLES)
]


@pytest.mark.parametrize('path', PATHS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_nothing_has_to_be_trusted(path):
    cfg = resolve_joint_config(Config.fromfile(path), check_files=False)
    assert 'type' in stored_backbone(cfg.model.backbone)
    for task, model in cfg.model.tasks.items():
        info = dict(scope=model.scope, model=self_contained(model.model))
        info |= {key: self_contained(cfg[key][task]) for key in TESTED if key in cfg}
        assert needed(task, info, ()) == ()
