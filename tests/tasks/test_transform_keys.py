"""What upstream's transforms do with an image and its labels is seen in their code."""

import pytest
from mmdet.utils import register_all_modules as register_mmdet
from mmengine.registry import TRANSFORMS
from mmpretrain.utils import register_all_modules as register_mmpretrain
from mmseg.utils import register_all_modules as register_mmseg

from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.tasks.transform_keys import ImageTransform, changes_image, keys_named, name_of

POLICY = [[dict(type='Rotate', angle=10.0)]]


@pytest.fixture(scope='module', autouse=True)
def registered():
    for register in (register_mmdet, register_mmpretrain, register_mmseg):
        register(init_default_scope=False)


def build(scope, kind, **settings):
    with task_scope(scope):
        return TRANSFORMS.build(dict(type=kind, **settings))


OF_THE_IMAGE = [
    ('mmseg', 'LoadImageFromFile', {}),
    ('mmseg', 'PhotoMetricDistortion', {}),
    ('mmseg', 'RandomRotate', dict(prob=0.01, degree=5)),
    ('mmseg', 'RandomChoiceResize', dict(scales=[(8, 8)])),
    ('mmseg', 'RandomApply', dict(transforms=[dict(type='RandomFlip', prob=0.5)], prob=0.01)),
    ('mmpretrain', 'RandomResizedCrop', dict(scale=8)),
    ('mmpretrain', 'AutoAugment', dict(policies=POLICY)),
    ('mmpretrain', 'RandomErasing', dict(erase_prob=0.01)),
    ('mmdet', 'RandomAffine', {}),
    ('mmdet', 'MinIoURandomCrop', {}),
    ('mmdet', 'YOLOXHSVRandomAug', {}),
]
OF_LABELS = [
    ('mmseg', 'LoadAnnotations', {}),
    ('mmseg', 'LoadDepthAnnotation', {}),
    ('mmseg', 'GenerateEdge', {}),
    ('mmseg', 'PackSegInputs', {}),
    ('mmpretrain', 'PackInputs', {}),
    ('mmdet', 'LoadAnnotations', dict(with_mask=True)),
    ('mmdet', 'FilterAnnotations', dict(min_gt_bbox_wh=(1, 1))),
    ('mmdet', 'PackDetInputs', {}),
]


@pytest.mark.parametrize(('scope', 'kind', 'settings'), OF_THE_IMAGE)
def test_what_changes_the_image_is_known_also_if_it_seldom_does(scope, kind, settings):
    assert changes_image(build(scope, kind, **settings))


@pytest.mark.parametrize(('scope', 'kind', 'settings'), OF_LABELS)
def test_what_is_of_labels_is_known(scope, kind, settings):
    assert not changes_image(build(scope, kind, **settings))


MAPS, OBJECTS = ('gt_seg_map', 'gt_depth_map', 'gt_seg_map.parts'), ('gt_bboxes', 'gt_masks')


@pytest.mark.parametrize(
    ('scope', 'kind', 'settings', 'left'),
    [
        ('mmseg', 'Resize', dict(scale=(8, 8)), ('gt_masks',)),
        ('mmseg', 'RandomCrop', dict(crop_size=(8, 8)), OBJECTS),
        ('mmseg', 'RandomRotate', dict(prob=0.5, degree=5), OBJECTS),
        ('mmseg', 'RandomResize', dict(scale=(8, 8), ratio_range=(1, 2)), ('gt_masks',)),
        ('mmseg', 'Pad', dict(size=(8, 8)), (*MAPS[1:], *OBJECTS)),
        ('mmdet', 'RandomFlip', dict(prob=0.5), MAPS[1:]),
        ('mmdet', 'RandomResize', dict(scale=(8, 8), ratio_range=(1, 2)), MAPS[1:]),
        ('mmpretrain', 'AutoAugment', dict(policies=POLICY), (*MAPS, *OBJECTS)),
        # Colours move nothing, and nothing is there before the image.
        ('mmseg', 'PhotoMetricDistortion', {}, ()),
        ('mmpretrain', 'ColorJitter', {}, ()),
        ('mmdet', 'PhotoMetricDistortion', {}, ()),
        ('mmseg', 'LoadImageFromFile', {}, ()),
    ],
)
def test_labels_that_would_stay_are_known(scope, kind, settings, left):
    transform = ImageTransform.of(build(scope, kind, **settings))
    assert tuple(transform.untreated(MAPS, OBJECTS)) == left


def test_keys_of_what_is_inside_are_named_too():
    flip = build('mmseg', 'RandomApply', transforms=[dict(type='RandomFlip', prob=0.5)])
    assert 'seg_fields' in keys_named(flip)
    assert name_of(flip) == 'mmcv.RandomApply'
