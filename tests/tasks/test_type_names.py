"""Configs of mmengine's new style, whose types are classes, say what those with names say."""

from collections import namedtuple

import pytest
from helpers import joint_config, only
from mmengine.config import Config
from mmengine.dataset import default_collate
from refusals import raises_naming
from torch import nn

from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.type_names import with_names

NAMES = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=2, to_rgb=True),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=24,
              loss=dict(type='CrossEntropyLoss')))
train_dataloader = dict(
    batch_size=2, collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CustomDataset', data_root='here', pipeline=[
        dict(type='LoadImageFromFile'), dict(type='mmdet.LoadAnnotations'),
        dict(type='PackInputs')]))
val_dataloader = train_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
"""
CLASSES = """
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations
from mmengine.dataset import DefaultSampler, default_collate
from mmpretrain.datasets import CustomDataset, PackInputs
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import ClsDataPreprocessor, CrossEntropyLoss, ImageClassifier, LinearClsHead
from torch.optim import AdamW
"""


def with_classes(names):
    """The same config in the new style."""
    for scope in ('', 'mmdet.'):
        for imported in CLASSES.replace(',', ' ').split():
            names = names.replace(f"'{scope}{imported}'", imported)
    return CLASSES + names


@pytest.mark.parametrize('joint_style', ['names', 'classes'])
def test_both_styles_resolve_to_the_same(tmp_path, joint_style):
    (tmp_path / 'names.py').write_text(NAMES)
    (tmp_path / 'classes.py').write_text(with_classes(NAMES))
    assert "type='" not in (tmp_path / 'classes.py').read_text()
    (tmp_path / 'base.py').write_text('randomness = dict(seed=3)\n')
    task = "dict(config='{}.py', score='accuracy/top1', backbone=dict(out_indices=(-1,)))"
    resolved = []
    for style in ('names', 'classes'):
        text = f"""
runner_type = 'MultiTaskRunner'
backbone = dict(type='ElasticViT', space=dict(embed_dim=16))
tasks = dict(cls={task.format(style)})
tasks['cls']['backbone']['out_type'] = 'avg_featmap'
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=2)
val_cfg = dict(type='MultiTaskValLoop')
randomness = dict(seed=3)
"""
        if style == joint_style == 'classes':
            text = text.replace('randomness = dict(seed=3)\n', '')
            for name in ('MultiTaskRunner', 'MultiTaskTrainLoop', 'MultiTaskValLoop', 'ElasticViT'):
                text = text.replace(f"'{name}'", name)
            text = (
                'from mmengine.config import read_base\n'
                'with read_base():\n    from .base import *\n'
                'from mdl_nas_mm.families import ElasticViT\n'
                'from mdl_nas_mm.engine import MultiTaskRunner, MultiTaskTrainLoop\n'
                'from mdl_nas_mm.engine import MultiTaskValLoop\n'
            ) + text
        (tmp_path / f'joint_{style}.py').write_text(text)
        cfg = Config.fromfile(tmp_path / f'joint_{style}.py')
        resolved.append(resolve_joint_config(cfg, check_files=False))
    assert resolved[0].to_dict() == resolved[1].to_dict()
    assert resolved[1].model.tasks.cls.model.head.loss.type == 'CrossEntropyLoss'
    pipeline = resolved[1].train_dataloader.cls.dataset.pipeline
    assert [step.type for step in pipeline] == [
        'LoadImageFromFile',
        'mmdet.LoadAnnotations',
        'PackInputs',
    ]


def test_what_a_joint_config_overrides_may_be_classes(data):
    from mmpretrain.models import LinearClsHead

    names, classes = only(joint_config(data), 'cls'), only(joint_config(data), 'cls')
    classes.tasks.cls.model.head.type = LinearClsHead
    resolved = [resolve_joint_config(cfg).to_dict() for cfg in (names, classes)]
    assert resolved[0] == resolved[1]


def test_delete_where_there_is_nothing_to_delete(data):
    """mmengine leaves it in then, and the class that is built gets it as an argument."""
    cfg, deleting = only(joint_config(data), 'cls'), only(joint_config(data), 'cls')
    deleting.optim_wrapper._delete_ = True
    deleting.tasks.cls.train_dataloader.new = dict(_delete_=True, a=[dict(_delete_=True, b=1)])
    cfg.tasks.cls.train_dataloader.new = dict(a=[dict(b=1)])
    assert resolve_joint_config(deleting).to_dict() == resolve_joint_config(cfg).to_dict()


def test_a_class_is_named_so_that_its_library_finds_it():
    from mmcv.transforms import LoadAnnotations
    from mmdet.models import SwinTransformer

    assert with_names(LoadAnnotations, 'mmpretrain') == 'LoadAnnotations'
    # mmdet has another one of this name.
    assert with_names(LoadAnnotations, 'mmdet') == 'mmengine.LoadAnnotations'
    assert with_names(SwinTransformer, 'mmdet') == 'SwinTransformer'
    assert with_names(SwinTransformer, 'mmseg') == 'mmdet.SwinTransformer'
    assert with_names(default_collate, 'mmdet') == 'default_collate'
    assert with_names([dict(a=(nn.Softplus,))], 'mmdet') in (
        [dict(a=('torch.nn.modules.activation.Softplus',))],
        [dict(a=('Softplus',))],
    )


def test_other_values_stay():
    pair = namedtuple('pair', 'a b')(1, 2.5)
    value = dict(a=[1, (None, 'x')], b=pair)
    assert with_names(value, 'mmdet') == value
    assert type(with_names(value, 'mmdet')['b']) is type(pair)


def test_a_function_without_a_name_is_refused():
    with raises_naming(ValueError, 'tasks.cls[0]', '<lambda>'):
        with_names(dict(cls=[lambda x: x]), 'mmdet', 'tasks')


def test_scopes_that_a_base_of_this_package_leaves_are_no_settings():
    found = with_names(
        dict(type='A', _scope_='mdl_nas_mm', b=[dict(_scope_='mdl_nas_mm')]), 'mmseg'
    )
    assert found == dict(type='A', b=[{}])
    assert with_names(dict(_scope_='mmdet'), 'mmseg') == dict(_scope_='mmdet')
