"""The texts of configs, formatted as users get them, mean what the configs say.

Other tests leave the formatter out, which takes seconds.
"""

import pytest
from helpers import ROOT
from mmengine.config import Config
from yapf.yapflib import yapf_api

from mdl_nas_mm.deposit.config_text import config_text
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.config_file import plain_text

TASKS = ('cls', 'det', 'seg')


@pytest.fixture(scope='module')
def resolved():
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / 'demo_joint.py')
    return resolve_joint_config(cfg, check_files=False)


def test_what_a_checkpoint_holds_and_a_dump_writes_reads_back(resolved, tmp_path):
    text = resolved.pretty_text
    assert max(map(len, text.splitlines())) < 200, 'it was not formatted'
    assert Config.fromstring(text, '.py').to_dict() == resolved.to_dict()
    resolved.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == resolved.to_dict()


def test_its_plain_text_reads_back_and_is_not_formatted(resolved, monkeypatch):
    monkeypatch.setattr(yapf_api, 'FormatCode', None)
    text = plain_text(resolved)
    assert Config.fromstring(text, '.py').to_dict() == resolved.to_dict()
    turned = dict(reversed(resolved.to_dict().items()))
    assert plain_text(Config(turned)) == text
    turned['tasks']['cls']['loss_weight'] = 3.5
    assert plain_text(Config(turned)) != text


@pytest.mark.parametrize('task', TASKS)
def test_what_an_extraction_writes_reads_back(resolved, task):
    info = dict(scope=resolved.tasks[task].scope, model=resolved.model.tasks[task].model)
    info |= {key: resolved[key][task] for key in ('val_dataloader', 'val_evaluator')}
    text = config_text(info['model'], info, 'weights.pth', f'task {task!r}')
    found = Config.fromstring(text, '.py')
    assert found.model.to_dict() == info['model'].to_dict()
    assert found.test_evaluator == info['val_evaluator']
    assert found.load_from.endswith('weights.pth')


def test_numbered_keys_are_written_and_read_back():
    """Those of mmpose's key points; mmengine writes them as dict({0: ...})."""
    points = {0: dict(name='nose', id=0), 1: dict(name='ear', id=1)}
    own = dict(dataset=dict(type='CocoDataset', metainfo=dict(keypoint_info=points)))
    text = config_text(
        dict(type='TopdownPoseEstimator', backbone=dict(type='ResNet')),
        dict(scope='mmpose', val_dataloader=own, val_evaluator=dict(type='CocoMetric')),
        'weights.pth',
        "task 'pose'",
        training=dict(train_dataloader=own),
    )
    found = Config.fromstring(text, '.py')
    for loader in (found.train_dataloader, found.test_dataloader):
        assert loader.dataset.metainfo.keypoint_info == points
