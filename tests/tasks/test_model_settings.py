"""Models that cannot have the elastic backbone are refused in one line."""

import pytest
from helpers import build_model, joint_config, only
from refusals import raises_naming

from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.model_settings import check_model


@pytest.mark.parametrize(
    ('scope', 'model', 'named'),
    [
        (
            'mmdet',
            dict(type='SoftTeacher', detector=dict(type='FasterRCNN', backbone=dict(a=1))),
            ("'SoftTeacher'", 'detector.backbone'),
        ),
        (
            'mmseg',
            dict(type='MultimodalEncoderDecoder', image_encoder=dict(type='VisionTransformer')),
            ("'MultimodalEncoderDecoder'", ' backbone'),
        ),
        (
            'mmpretrain',
            dict(type='MAE', backbone=dict(type='MAEViT')),
            ("'MAE'", 'MAEViT', 'init_cfg'),
        ),
        ('mmseg', dict(type='NoSuchModel'), ("'NoSuchModel'", 'mmseg')),
    ],
)
def test_models_that_are_refused(scope, model, named):
    with raises_naming(ValueError, "'x'", *named):
        check_model('x', scope, model)


@pytest.mark.parametrize(
    ('scope', 'model'),
    [
        ('mmdet', dict(type='MaskRCNN', backbone=dict(type='ResNet'))),
        ('mmpretrain', dict(type='ImageClassifier')),
        ('mmpretrain', dict(type='SimSiam', backbone=dict(type='ResNet'))),
        ('mmpose', dict(type='TopdownPoseEstimator', backbone=dict(type='mmpretrain.VGG'))),
    ],
)
def test_models_that_are_not(scope, model):
    check_model('x', scope, model)


def test_a_second_copy_of_the_backbone_is_noticed(data):
    """MoCo's copy would stay the empty place of the backbone."""
    cfg = only(joint_config(data), 'cls')
    neck = dict(type='MoCoV2Neck', in_channels=24, hid_channels=8, out_channels=4)
    head = dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'))
    cfg.tasks.cls.model = dict(
        _delete_=True, type='MoCo', queue_len=8, feat_dim=4, neck=neck, head=head
    )
    cfg = resolve_joint_config(cfg)
    with raises_naming(ValueError, 'MoCo', "'encoder_k"):
        build_model(cfg)
