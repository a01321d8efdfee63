"""A resolved config is a type, whose text is checked again before anything trusts it."""

import copy
import dataclasses
import pickle

import pytest
from helpers import TASKS, joint_config
from mmengine.config import Config
from new_tasks import architectures, base_config, describe_base, new_config
from refusals import raises_naming
from yapf.yapflib import yapf_api

from mdl_nas_mm.tasks import ResolvedConfig, Score, Split, resolve_joint_config


@pytest.fixture(params=['validated', 'not validated', 'new task'])
def resolved(request, data, tmp_path) -> ResolvedConfig:
    cfg = joint_config(data)
    if request.param == 'not validated':
        cfg.val_cfg = None
    if request.param == 'new task':
        base = describe_base(base_config(data, 'Mask'), tmp_path / 'supernet.pth')
        cfg = new_config(data, base, architectures(), changes={'backbone.drop_path_rate': 0.2})
    return resolve_joint_config(cfg)


@pytest.fixture
def written(data, tmp_path) -> Config:
    resolve_joint_config(joint_config(data)).dump(tmp_path / 'resolved.py')
    return Config.fromfile(tmp_path / 'resolved.py')


def test_copies_are_of_the_type(resolved):
    for other in (resolved.copy(), copy.deepcopy(resolved), pickle.loads(pickle.dumps(resolved))):
        assert type(other) is ResolvedConfig
        assert other.to_dict() == resolved.to_dict()


def test_its_text_is_formatted_once_while_nothing_changes(data, monkeypatch):
    formatted = []
    upstream = yapf_api.FormatCode
    monkeypatch.setattr(
        yapf_api, 'FormatCode', lambda text, **kw: formatted.append(text) or upstream(text, **kw)
    )
    resolved = resolve_joint_config(joint_config(data))
    text = resolved.pretty_text
    assert text == Config(resolved.to_dict()).pretty_text
    formatted.clear()
    for other in (resolved, resolved.copy(), copy.deepcopy(resolved)):
        assert other.pretty_text == text
    assert not formatted
    changed = copy.deepcopy(resolved)
    changed['tasks'].cls.loss_weight = 3.5
    changed.work_dir = 'elsewhere'
    assert changed.pretty_text == Config(changed.to_dict()).pretty_text != text
    assert resolved.pretty_text == text and len(formatted) == 2


@pytest.mark.parametrize('kind', ['py', 'yaml', 'json'])
def test_what_was_written_resolves_to_the_same(resolved, tmp_path, kind):
    resolved.dump(tmp_path / f'resolved.{kind}')
    read = Config.fromfile(tmp_path / f'resolved.{kind}')
    again = resolve_joint_config(read)
    assert type(read) is Config and type(again) is ResolvedConfig
    # JSON has no tuples.
    if kind != 'json':
        assert again.to_dict() == resolved.to_dict()
    assert again.pretty_text.count('resolved') == resolved.pretty_text.count('resolved')


def test_a_search_on_other_data_than_the_validation_is_read_again(data, tmp_path):
    """Key points are numbered; and nothing comes back of what a search leaves out."""
    points = {0: dict(name='nose', id=0), 1: dict(name='ear', id=1)}
    cfg = joint_config(data)
    whole = resolve_joint_config(cfg).search_dataloader['cls']
    for loader, info in (('val', points), ('search', {1: points[1]})):
        dataset = dict(whole['dataset'], metainfo=dict(keypoint_info=info))
        own = dict(whole, _delete_=loader == 'search', dataset=dataset)
        cfg.tasks.cls[f'{loader}_dataloader'] = own
    resolved = resolve_joint_config(cfg)
    resolved.dump(tmp_path / 'resolved.py')
    again = resolve_joint_config(Config.fromfile(tmp_path / 'resolved.py'))
    assert again.to_dict() == resolved.to_dict()
    infos = [
        again[f'{split}_dataloader']['cls']['dataset']['metainfo']['keypoint_info']
        for split in ('val', 'search')
    ]
    assert [list(info) for info in infos] == [[0, 1], [1]]


def test_settings_of_what_was_written_may_change(written):
    written.merge_from_dict(
        {'train_dataloader.cls.batch_size': 1, 'tasks.seg.score_weight': 2.0, 'subspace': None}
    )
    tasks = resolve_joint_config(written).tasks
    assert (tasks['cls'].train.batch_size, tasks['seg'].score_weight) == (1, 2.0)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'model.backbone.drop_path_rate': 0.7}, 'model.backbone.drop_path_rate'),
        ({'model.type': 'Another'}, 'model.type'),
        ({'model.tasks.seg.scope': 'mmdet'}, 'model.tasks.seg.scope'),
        ({'backbone.img_size': 99}, 'model.backbone.img_size'),
        ({'tasks.det.score': 'coco/bbox_mpa'}, ("'det'", "'coco/bbox_mpa'")),
        ({'tasks.det.model': dict(type='A')}, 'tasks.det.model'),
        ({'search_dataloader.cls.batch_size': 2.5}, ("'cls'", 'search_dataloader', 2.5)),
        ({'joint_spec': dict(cls=dict(stages=[]))}, ('joint_spec', 'train_cfg.sampler')),
        ({'model': None}, 'model'),
        ({'model.backbone': None}, 'model.backbone'),
        ({'val_evaluator': dict(_delete_=True, cls=dict(type='Accuracy'))}, 'val_evaluator'),
        (
            {'train_dataloader.det.dataset.data_root': 'nowhere/'},
            ("'det'", 'train_dataloader', 'nowhere/'),
        ),
    ],
    ids=str,
)
def test_what_was_written_is_checked_again(written, changes, named):
    written.merge_from_dict(changes)
    named = named if isinstance(named, tuple) else (named,)
    with raises_naming((ValueError, FileNotFoundError), *named):
        resolve_joint_config(written)


@pytest.mark.parametrize(
    'key', ['model', 'train_dataloader', 'val_dataloader', 'val_evaluator', 'search_evaluator']
)
def test_what_is_made_of_the_tasks_is_not_given(data, key):
    """A model beside the tasks neither replaces them nor spares a check."""
    cfg = joint_config(data)
    cfg[key] = dict(type='ImageClassifier')
    with raises_naming(ValueError, repr(key), f'tasks.cls.{key}', 'resolved=True'):
        resolve_joint_config(cfg)


def test_tasks_are_frozen_values(data):
    cfg = joint_config(data)
    cfg.tasks.seg.update(score=dict(metric='mIoU', scale='percent'), score_weight=0.5)
    cfg = resolve_joint_config(cfg)
    assert tuple(cfg.tasks) == TASKS
    task = cfg.tasks['seg']
    assert (task.scope, task.score, task.score_weight) == ('mmseg', Score('mIoU', 1.0), 0.5)
    assert task.model == cfg.model.tasks.seg.model
    assert task.val == Split(cfg.val_dataloader.seg, cfg.val_evaluator.seg)
    assert task.search == Split(cfg.search_dataloader.seg, cfg.search_evaluator.seg)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.score = Score('aAcc')
