"""What is let in, what is not, and what the refusal says."""

import pytest
from mmengine.registry import MODELS
from refusals import assert_names

from mdl_nas_mm.trust import Untrusted, check_config, refusals

LOSS = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)


def says(config, scope='mmdet', **trust):
    with pytest.raises(Untrusted) as error:
        check_config(scope, config, 'task', **trust)
    return str(error.value)


@pytest.mark.parametrize(
    ('scope', 'config'),
    [
        ('mmdet', LOSS),
        ('mmseg', dict(LOSS, class_weight=[1.0, 0.5])),
        ('mmdet', [LOSS, dict(type='mmseg.CrossEntropyLoss')]),
        ('mmdet', dict(nms=dict(type='nms', iou_threshold=0.5), score_thr=0.05)),
        ('mmpose', dict(type='CocoMetric', ann_file='data/coco/person.json')),
        ('mmdet', dict(type='LoadImageFromFile', backend_args=dict(backend='local'))),
        ('mmpretrain', dict(type='mmdet.MSDeformAttnPixelDecoder', act_cfg=dict(type='ReLU'))),
    ],
)
def test_what_is_let_in(scope, config):
    check_config(scope, config, 'task')


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        (dict(type='os.system'), ("class 'os.system'", ' mmdet', '--trust os.system --import os')),
        (
            dict(a=[dict(type='Mine')]),
            ('a.0', "class 'Mine'", ' mmdet', '--trust MODULE.Mine --import MODULE'),
        ),
        (
            dict(LOSS, name='x'),
            (
                'task, name: ',
                'class CrossEntropyLoss ',
                '--trust mmdet.models.losses.cross_entropy_loss.CrossEntropyLoss',
            ),
        ),
        (dict(LOSS, class_weight='x'), ('class_weight', "'x'")),
        (dict(LOSS, reduction='a/b'), ('reduction', "'a/b'")),
        (dict(type='DumpDetResults'), ('class DumpDetResults ',)),
        (dict(type='ResNet'), ('class ResNet ', 'backbone')),
        (
            dict(type='CameraMotionCompensation', warp_mode='1'),
            ('warp_mode', 'class CameraMotionCompensation '),
        ),
        (dict(LOSS, _scope_='antigravity'), ("_scope_ 'antigravity'",)),
        (dict(LOSS, _delete_=True), ("key '_delete_'",)),
        ({'a b': 1}, ("key 'a b'",)),
        (dict(type=LOSS), ('class',)),
        (dict(type='a b.c'), ("class 'a b.c'", ' mmdet')),
        (
            dict(type='FPG', same_up_trans=dict(type='conv', conv_cfg=dict(type='ResNet'))),
            ('same_up_trans.conv_cfg', 'class ResNet ', 'backbone'),
        ),
        (dict(type='CocoDataset', ann_file='a/.pkl'), ('ann_file', "'a/.pkl'")),
        (dict(type='CocoDataset', ann_file='pkl'), ('ann_file', "'pkl'")),
        (dict(type='RefCocoDataset', split_file='a.json'), ('RefCocoDataset ',)),
        (dict(a=object()), ('task, a: ',)),
        (dict(num_workers=65), ('num_workers', 64)),
    ],
)
def test_what_is_not(config, named):
    assert_names(says(config), 'task', *named)


def test_keys_of_tables_are_numbers_and_identifiers():
    names = dict(keypoint_info={0: dict(name='nose', id=0, color=[1, 2, 3], swap='')})
    dataset = dict(type='CocoDataset', metainfo=dict(dataset_name='mine', **names))
    check_config('mmpose', dataset, 'task')
    dataset['metainfo']['keypoint_info']['a b'] = 1
    assert_names(says(dataset, 'mmpose'), "key 'a b'")


def test_metainfo_is_what_its_own_library_makes_of_it():
    """mmpose takes texts as they are, the others open them as files."""
    info = dict(metainfo=dict(dataset_name='/etc/passwd'))
    check_config('mmpose', dict(info, type='CocoDataset'), 'task')
    message = says(dict(info, type='mmdet.CocoDataset'), 'mmpose')
    assert_names(message, "dataset_name '/etc/passwd'")


def test_what_is_to_be_typed_is_names(capsys):
    for name in ('a; rm x .b', 'a\nb.c', 'a$(b).c', '\x1b[31m.c', 'a..b', 'ａ.b'):
        text = says(dict(type=name))
        assert '--trust' not in text and text.isprintable()


def test_classes_of_a_stranger_are_let_in_by_name():
    @MODELS.register_module()
    class TestOnlyHead:
        pass

    config, name = dict(type='TestOnlyHead', file='/a b', loss=LOSS), f'{__name__}.TestOnlyHead'
    TestOnlyHead.__qualname__ = 'TestOnlyHead'
    try:
        typed = f'--trust {name} --import {__name__}'
        assert_names(says(config), 'task: class TestOnlyHead ', typed)
        check_config('mmdet', config, 'task', trust=(name,))
        check_config('mmdet', config, 'task', trust=name)
        # It gets whatever is said; what is below it is looked at as before.
        config['loss'] = dict(type='os.system')
        assert 'task, loss: class ' in says(config, trust=(name,))
    finally:
        MODELS.module_dict.pop('TestOnlyHead')


def test_a_class_in_place_of_a_listed_one_is_another():
    """Registered under the same name, by whatever else is imported."""
    from mmdet.registry import MODELS as DETECTION

    listed = DETECTION.module_dict['FocalLoss'] if 'FocalLoss' in DETECTION.module_dict else None
    listed = listed or DETECTION.get('FocalLoss')

    class FocalLoss:
        pass

    DETECTION.module_dict['FocalLoss'] = FocalLoss
    try:
        assert_names(says(dict(type='FocalLoss')), 'FocalLoss', '--trust')
    finally:
        DETECTION.module_dict['FocalLoss'] = listed


def test_hints_are_named():
    config = dict(type='Mine')
    assert '--trust my_data.Mine --import my_data' in says(config, hints=['my_data.Mine'])
    assert list(refusals('mmdet', config, ['my_data.Mine']))
