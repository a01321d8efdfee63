"""Models that cannot have the elastic backbone are refused in one line."""

import pytest
from helpers import build_model, joint_config, only

from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.model_settings import check_model


@pytest.mark.parametrize(
    ('scope', 'model', 'message'),
    [
        (
            'mmdet',
            dict(type='SoftTeacher', detector=dict(type='FasterRCNN', backbone=dict(a=1))),
            "task 'x': its model 'SoftTeacher' has its backbone in detector.backbone, so it cannot "
            'have the elastic one; give its detector as the model of the task',
        ),
        (
            'mmseg',
            dict(type='MultimodalEncoderDecoder', image_encoder=dict(type='VisionTransformer')),
            "task 'x': its model 'MultimodalEncoderDecoder' has no backbone, so it cannot have the",
        ),
        (
            'mmpretrain',
            dict(type='MAE', backbone=dict(type='MAEViT')),
            "task 'x': its model 'MAE' is trained with a backbone that takes masks, MAEViT, which",
        ),
        (
            'mmseg',
            dict(type='NoSuchModel'),
            "task 'x': its model 'NoSuchModel' is not one of mmseg",
        ),
    ],
)
def test_models_that_are_refused(scope, model, message):
    with pytest.raises(ValueError) as error:
        check_model('x', scope, model)
    assert str(error.value).startswith(message) and '\n' not in str(error.value)


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
    with pytest.raises(ValueError, match=r"^model MoCo has a copy of its backbone, 'encoder_k"):
        build_model(cfg)
