"""What a backbone inherits for its tasks, what it does not inherit, and how it says so."""

import logging

import pytest
import torch
from inheriting import (
    IMAGE,
    VIT_SPACE,
    assert_same,
    elastic_swin,
    elastic_vit,
    pretrain_swin,
    pretrain_vit,
)
from mmengine.logging import MMLogger
from numerics.published_weights import randomize
from refusals import raises_naming


@pytest.mark.parametrize('sharing', ['AllSpecific', 'Sequential', 'Mask'])
def test_weights_of_the_tasks_start_as_the_shared_ones(sharing):
    model = pretrain_vit()
    vit = elastic_vit(dict(VIT_SPACE, share_ratio=(0.3, 0.6)), sharing=sharing, tasks=('a', 'b'))
    scores = {key: value.clone() for key, value in vit.state_dict().items() if 'score' in key}
    report = vit.inherit(model.state_dict())
    assert not report.missing and bool(scores) == (sharing == 'Mask')
    assert all(torch.equal(vit.state_dict()[key], scores[key]) for key in scores)
    for task in ('a', 'b'):
        for ratio in (0, -1):
            spec = vit.space.largest(ratio)
            assert_same(vit.forward_subnet(IMAGE, task, spec), model(IMAGE))


def test_own_weights_of_tasks_are_left_out():
    """Shared weights of a joint training start a new one."""
    trained = randomize(elastic_vit(sharing='Mask', tasks=('a', 'b')))
    vit = elastic_vit()
    report = vit.inherit(trained.state_dict())
    assert report.left_out and not report.missing and not report.without_place
    assert all('.specific.' in key or key.endswith('.score') for key in report.left_out)
    for name, parameter in vit.named_parameters():
        assert torch.equal(parameter, trained.state_dict()[name])


def test_another_family_is_refused():
    swin, vit = pretrain_swin().state_dict(), pretrain_vit().state_dict()
    with raises_naming(ValueError, 'OpenMMLab Swin', 'ElasticViT', ' ViT'):
        elastic_vit().inherit(swin)
    with raises_naming(ValueError, 'OpenMMLab ViT', 'ElasticSwin', ' Swin'):
        elastic_swin().inherit(vit)
    with raises_naming(ValueError, 'AutoFormer', 'conv1.weight'):
        elastic_vit().inherit({'conv1.weight': torch.zeros(1)})


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        if record.levelno > logging.DEBUG:
            self.seen.append(record)


@pytest.fixture
def records():
    handler, logger = Records(), MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield handler.seen
    logger.removeHandler(handler)


def test_report_is_logged_once(records):
    report = elastic_vit(img_size=32).inherit(pretrain_vit().state_dict())
    (record,) = records
    assert record.levelno == logging.INFO and record.getMessage() == report.summary()
    lines = report.summary().splitlines()
    assert 'OpenMMLab ViT' in lines[0] and len(lines) == 6
    taken = len(list(elastic_vit().parameters())) - 1
    assert lines[1] == (
        f'  taken as they are: {taken} (cls_token, patch_embed.proj.weight, '
        'patch_embed.proj.bias, blocks.0.norm1.weight, ...)'
    )
    assert lines[2:] == [
        '  resized: 1 (pos_embed)',
        '  cut: 0',
        '  not in the checkpoint, kept as initialised: 0',
        '  in the checkpoint, left out: 0',
    ]


def test_weights_that_change_the_features_are_warned_of(records):
    """Such as the layer scale of newer models, for which the backbone has no place."""
    model, vit = pretrain_vit(layer_scale_init_value=0.1), elastic_vit()
    report = vit.inherit(model.state_dict())
    assert report.without_place == report.left_out and len(report.left_out) == 6
    assert 'layers.0.attn.gamma1.weight' in report.left_out
    assert [record.levelno for record in records] == [logging.WARNING]
