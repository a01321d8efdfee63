"""A short joint config becomes what a runner is built from; what is wrong in it is named."""

import copy
import dataclasses

import pytest
from helpers import ROOT, TASKS, joint_config, only
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from refusals import assert_names, raises_naming

from mdl_nas_mm.tasks import config as config_module
from mdl_nas_mm.tasks import data_files, resolve_joint_config
from mdl_nas_mm.utils.upstream import upstream_config_path

UPSTREAM = dict(
    cls=('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py', 'data/imagenet'),
    det=('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py', 'data/coco/'),
    seg=(
        'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
        'data/ade/ADEChallengeData2016',
    ),
)


@pytest.fixture
def upstream() -> Config:
    """The joint config of three untouched upstream configs, as a user writes it."""
    return Config(
        dict(
            backbone=dict(type='ElasticViT', space=dict(embed_dim=16)),
            tasks=dict(
                cls=dict(config=UPSTREAM['cls'][0], score='accuracy/top1'),
                det=dict(config=UPSTREAM['det'][0], score='coco/bbox_mAP'),
                seg=dict(config=UPSTREAM['seg'][0], score='mIoU'),
            ),
            val_cfg=dict(),
        )
    )


def test_untouched_upstream_configs_resolve(upstream, monkeypatch):
    monkeypatch.setattr(data_files, 'check_data', lambda *_: None)
    cfg = resolve_joint_config(upstream)
    types = dict(cls='ImageClassifier', det='MaskRCNN', seg='EncoderDecoder')
    scopes = dict(cls='mmpretrain', det='mmdet', seg='mmseg')
    evaluators = dict(cls='Accuracy', det='CocoMetric', seg='IoUMetric')
    assert cfg.model.backbone.tasks == TASKS
    for task in TASKS:
        model = cfg.model.tasks[task].model
        assert (model.type, cfg.tasks[task].scope) == (types[task], scopes[task])
        assert model.backbone == dict(type='mdl_nas_mm.BackboneSlot')
        assert cfg.val_evaluator[task].type == evaluators[task]
        original = Config.fromfile(upstream_config_path(upstream.tasks[task].config))
        for key in ('train_dataloader', 'val_dataloader'):
            assert cfg[key][task] == original[key]
        assert cfg.search_dataloader[task] == original.val_dataloader
        assert cfg.search_evaluator[task] == original.val_evaluator
    # mmpretrain's configs have it beside the model.
    assert cfg.model.tasks.cls.model.data_preprocessor.num_classes == 1000
    assert cfg.model.tasks.seg.model.decode_head.type == 'UPerHead'


@pytest.mark.parametrize('task', TASKS)
def test_data_of_an_upstream_config_that_are_not_there(upstream, task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    only(upstream, task)
    with raises_naming(FileNotFoundError, repr(task), 'train_dataloader', repr(UPSTREAM[task][1])):
        resolve_joint_config(upstream)


def test_only_differences_are_changed(data):
    changed = resolve_joint_config(
        joint_config(
            data,
            changes={
                'tasks.cls.train_dataloader.batch_size': 7,
                'tasks.cls.model.head.loss.label_smooth_val': 0.1,
                'tasks.cls.loss_weight': 0.5,
                'tasks.seg.score_weight': 2.0,
            },
        )
    )
    plain = resolve_joint_config(joint_config(data))
    assert changed.train_dataloader.cls.batch_size == 7
    assert changed.model.tasks.cls.model.head.loss == dict(
        type='CrossEntropyLoss', label_smooth_val=0.1
    )
    assert (changed.tasks['cls'].loss_weight, plain.tasks['cls'].loss_weight) == (0.5, 1.0)
    assert (changed.tasks['seg'].score_weight, plain.tasks['seg'].score_weight) == (2.0, 1.0)
    for cfg in (changed, plain):
        cfg.train_dataloader.cls.batch_size = None
        cfg.model.tasks.cls.model.head.loss = None
        cfg['tasks'].cls.loss_weight = cfg['tasks'].seg.score_weight = None
    assert changed.to_dict() == plain.to_dict()


def test_upstream_file_lies_beside_the_joint_config(data, tmp_path, monkeypatch):
    """From any working directory; and ``cls`` has what its file says, but for the overrides."""
    monkeypatch.chdir(tmp_path)
    cfg = resolve_joint_config(joint_config(data))
    original = Config.fromfile(ROOT / 'configs' / 'demo' / 'tasks' / 'cls.py')
    expected = copy.deepcopy(original.train_dataloader)
    expected.merge(dict(batch_size=2, dataset=dict(data_root=f'{data}/cls/')))
    assert cfg.train_dataloader.cls == expected
    assert cfg.val_evaluator.cls == original.val_evaluator


def test_numbered_keys_are_merged_as_others(data, tmp_path):
    """Those of mmpose's key points."""
    cfg = joint_config(data)
    own = 'val_dataloader = dict(dataset=dict(metainfo=dict(keypoint_info={0: "nose", 1: "ear"})))'
    base = str(ROOT / 'configs' / 'demo' / 'tasks' / 'cls.py')
    (tmp_path / 'own.py').write_text(f'_base_ = [{base!r}]\n{own}\n')
    cfg.tasks.cls.config = str(tmp_path / 'own.py')
    cfg.tasks.cls.val_dataloader.dataset.metainfo = dict(keypoint_info={1: 'eye'})
    dataset = resolve_joint_config(cfg).val_dataloader.cls.dataset
    assert dataset.metainfo.keypoint_info == {0: 'nose', 1: 'eye'}


def test_delete_replaces_a_whole_part(data):
    cfg = joint_config(data)
    cfg.tasks.cls.model = dict()
    head = dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=24)
    cfg.tasks.cls.model.head = dict(_delete_=True, **head)
    cfg.tasks.cls.score = 'multi-label/mAP'
    cfg.tasks.cls.val_evaluator = dict(_delete_=True, type='AveragePrecision')
    cfg.tasks.cls.search_evaluator = dict(_delete_=True, type='VOCAveragePrecision')
    resolved = resolve_joint_config(cfg)
    assert resolved.model.tasks.cls.model.head == head
    assert resolved.val_evaluator.cls == dict(type='AveragePrecision')
    assert resolved.search_evaluator.cls == dict(type='VOCAveragePrecision')


def test_search_split_is_the_validation_split_with_differences(data):
    cfg = resolve_joint_config(joint_config(data))
    for task, key, name in (
        ('cls', 'data_prefix', 'search'),
        ('det', 'ann_file', 'annotations/search.json'),
    ):
        assert cfg.search_dataloader[task].dataset[key] == name
        assert cfg.val_dataloader[task].dataset[key] == name.replace('search', 'val')
        cfg.search_dataloader[task].dataset = cfg.val_dataloader[task].dataset
        assert cfg.search_dataloader[task] == cfg.val_dataloader[task]
    assert cfg.search_evaluator.det.ann_file.endswith('search.json')
    assert cfg.val_evaluator.det.ann_file.endswith('val.json')
    assert cfg.search_evaluator.det.metric == cfg.val_evaluator.det.metric


def test_inline_task_needs_no_file(data):
    cfg = joint_config(data)
    whole = resolve_joint_config(cfg)
    inline = {
        key: whole[key].cls for key in ('train_dataloader', 'val_dataloader', 'val_evaluator')
    }
    model = whole.model.tasks.cls.model
    cfg.tasks = dict(mine=dict(scope='mmpretrain', score='accuracy/top1', model=model, **inline))
    resolved = resolve_joint_config(cfg)
    assert resolved.model.tasks.mine == whole.model.tasks.cls
    assert resolved.train_dataloader.mine == whole.train_dataloader.cls
    task = whole.tasks['cls']
    assert resolved.tasks['mine'] == dataclasses.replace(task, name='mine', search=task.val)
    del cfg.tasks.mine.scope
    with raises_naming(ValueError, "'mine'", "'scope'"):
        resolve_joint_config(cfg)


def test_resolved_config_comes_back_unchanged(data):
    cfg = resolve_joint_config(joint_config(data))
    assert resolve_joint_config(cfg) is cfg


def test_resolving_leaves_the_config_as_it_was(data):
    cfg = joint_config(data)
    before = copy.deepcopy(cfg.to_dict())
    resolve_joint_config(cfg)
    assert cfg.to_dict() == before


def test_outputs_of_the_backbone_are_kept_by_task(data):
    backbone = resolve_joint_config(joint_config(data)).model.backbone
    assert backbone.out_type == dict(cls='avg_featmap', det='featmap', seg='featmap')
    assert backbone.out_indices == dict(cls=(-1,), det=(-1,), seg=(0, -1))
    cfg = joint_config(data)
    del cfg.tasks.det.backbone.out_type
    with raises_naming(ValueError, "'det'", 'backbone.out_type'):
        resolve_joint_config(cfg)


def test_without_validation_nothing_of_it_is_left(data):
    cfg = joint_config(data)
    cfg.val_cfg = None
    resolved = resolve_joint_config(cfg)
    assert 'val_dataloader' not in resolved and 'val_evaluator' not in resolved
    assert set(resolved.train_dataloader) == set(TASKS)


@pytest.mark.parametrize(
    ('changes', 'error', 'named'),
    [
        (
            {'tasks.det.config': 'tasks/nowhere.py'},
            FileNotFoundError,
            ("'det'", "'tasks/nowhere.py'"),
        ),
        (
            {'tasks.det.config': 'mmdet::swin/nowhere.py'},
            FileNotFoundError,
            ("'det'", "'mmdet::swin/nowhere.py'"),
        ),
        (
            {'tasks.det.config': 'no_such_library::a.py'},
            FileNotFoundError,
            ("'det'", "'no_such_library::a.py'", ' no_such_library '),
        ),
        (
            {'tasks.seg.train_dataloader.dataset.data_root': '/no/such/folder'},
            FileNotFoundError,
            ("'seg'", 'train_dataloader', "'/no/such/folder'", 'data_root'),
        ),
        (
            {'tasks.cls.val_dataloader.dataset.data_prefix': 'absent'},
            FileNotFoundError,
            ("'cls'", 'val_dataloader', "/cls/absent'", 'data_root'),
        ),
        (
            {'tasks.det.search_dataloader.dataset.ann_file': 'absent.json'},
            FileNotFoundError,
            ("'det'", 'search_dataloader', "/absent.json'", 'data_root'),
        ),
        (
            {'tasks.det.val_evaluator.ann_file': '/absent.json'},
            FileNotFoundError,
            ("'det'", 'val_evaluator', "'/absent.json'"),
        ),
        ({'tasks.cls.scores': 'mIoU'}, ValueError, ("'cls'", "'scores'")),
        ({'tasks.cls.score': None}, ValueError, ("'cls'", "'score'")),
        ({'tasks.cls.score': 3}, ValueError, ("'cls'", 'score', 3, 'metric=')),
        (
            {'tasks.det.score': 'coco/bbox_mpa'},
            ValueError,
            ("'det'", "'coco/bbox_mpa'", 'coco/bbox_mAP_50'),
        ),
        ({'tasks.seg.score': 'seg/mIoU'}, ValueError, ("'seg'", "'seg/mIoU'", ' mIoU')),
        ({'tasks.cls.val_evaluator': None}, ValueError, ("'cls'", "'val_evaluator'")),
        ({'tasks.cls.loss_weight': -1}, ValueError, ("'cls'", 'loss_weight', -1)),
        ({'tasks.cls.loss_weight': 'much'}, ValueError, ("'cls'", 'loss_weight', "'much'")),
        ({'tasks.det.score_weight': float('nan')}, ValueError, ("'det'", 'score_weight', 'nan')),
        ({'tasks': None}, ValueError, ('joint config', 'tasks')),
    ],
    ids=str,
)
def test_refused_configs(data, changes, error, named):
    cfg = joint_config(data)
    cfg.merge_from_dict(changes)
    with raises_naming(error, *named):
        resolve_joint_config(cfg)


@pytest.mark.parametrize('key', ['backbone', 'tasks'])
def test_a_joint_config_has_a_backbone_and_tasks(data, key):
    cfg = joint_config(data)
    cfg.pop(key)
    with raises_naming(ValueError, 'joint config', repr(key)):
        resolve_joint_config(cfg)


def test_missing_score_is_refused(data):
    cfg = joint_config(data)
    del cfg.tasks.cls.score
    with raises_naming(ValueError, "'cls'", "'score'"):
        resolve_joint_config(cfg)


@pytest.mark.parametrize('name', ['my task', '2d', 'a-b', '', 'a.b', 'items', 'training'])
def test_names_that_cannot_be_a_module_are_refused(data, name):
    cfg = only(joint_config(data), 'cls')
    cfg.tasks = {name: cfg.tasks.cls}
    with raises_naming(ValueError, f'task {name!r}'):
        resolve_joint_config(cfg)


def test_a_joint_config_without_an_optimizer_asks_for_one_recipe(upstream, monkeypatch):
    """mmdet's and mmpretrain's Swin are trained with different learning rates."""
    monkeypatch.setattr(data_files, 'check_data', lambda *_: None)
    upstream.train_cfg = dict(type='MultiTaskTrainLoop', max_iters=1)
    with raises_naming(ValueError, "'cls'", "'det'", 'optimizer.lr'):
        resolve_joint_config(upstream)
    upstream.tasks = dict(a=upstream.tasks.det, b=upstream.tasks.det)
    taken = resolve_joint_config(upstream).optim_wrapper
    assert taken == Config.fromfile(upstream_config_path(upstream.tasks.a.config)).get(
        'optim_wrapper'
    )
    upstream.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
    assert resolve_joint_config(upstream).optim_wrapper == upstream.optim_wrapper


def test_a_data_set_may_fetch_its_files(data, tmp_path):
    """Then they need not be there yet; one that does not fetch is refused as ever."""
    cfg = only(joint_config(data), 'cls')
    loader = cfg.tasks.cls.train_dataloader
    fetching = dict(type='CIFAR10', data_root=str(tmp_path / 'cifar'), split='train')
    loader.dataset = dict(_delete_=True, type='RepeatDataset', times=2, dataset=fetching)
    resolve_joint_config(cfg)
    loader.dataset.dataset.download = False
    with raises_naming(FileNotFoundError, 'train_dataloader', tmp_path / 'cifar'):
        resolve_joint_config(cfg)


def test_a_data_set_of_ones_own_may_make_its_files(data, tmp_path):
    class Mine(CustomDataset):
        pass

    cfg = only(joint_config(data), 'cls')
    DATASETS.register_module(name='MadeHere', module=Mine)
    try:
        made = dict(type='MadeHere', data_root=str(tmp_path / 'made'))
        cfg.tasks.cls.train_dataloader.dataset = dict(_delete_=True, **made)
        resolve_joint_config(cfg)
    finally:
        DATASETS.module_dict.pop('MadeHere')


def test_hooks_of_a_tasks_config_are_said_not_to_be_used(data, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(config_module, 'print_log', lambda line, *_: said.append(line))
    cfg = only(joint_config(data), 'cls')
    base, own = ROOT / 'configs' / 'demo' / cfg.tasks.cls.config, tmp_path / 'cls.py'
    hooks = "[dict(type='SyncBuffersHook'), dict(type='EMAHook')]"
    own.write_text(f'_base_ = [{str(base)!r}]\ncustom_hooks = {hooks}\n')
    cfg.tasks.cls.config = str(own)
    resolve_joint_config(cfg)
    (line,) = said
    assert_names(line, "'cls'", 'custom_hooks', 'EMAHook')
    assert 'SyncBuffersHook' not in line
