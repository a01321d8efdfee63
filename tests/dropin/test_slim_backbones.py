"""Slimmable backbones in upstream's own trainings, from weights in upstream's own keys."""

import random

import pytest
import torch
from mmpretrain.models.backbones import ResNet
from mmseg.models.backbones import MobileNetV2
from stock import build_runner, write_config

from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet

SPACE = dict(width_ratio=(0.5, 0.75, 1.0))


def classifier(backbone):
    return dict(backbone=backbone, head=dict(in_channels=512, num_classes=10))


def segmentor(backbone):
    return dict(
        data_preprocessor=dict(size=(64, 64)),
        backbone=backbone,
        decode_head=dict(in_channels=[24, 32, 96, 320], channels=16),
        auxiliary_head=dict(in_channels=96, channels=16),
    )


CASES = dict(
    cls=(ElasticResNet, ResNet, dict(depth=18, out_indices=(3,)), classifier),
    seg=(
        ElasticMobileNetV2,
        MobileNetV2,
        dict(
            strides=(1, 2, 2, 1, 1, 1, 1),
            dilations=(1, 1, 1, 2, 2, 4, 4),
            out_indices=(1, 2, 4, 6),
        ),
        segmentor,
    ),
)


@pytest.mark.parametrize('task', CASES)
def test_two_steps_from_published_keys(task, data_of, tmp_path):
    kind, upstream_kind, settings, model_of = CASES[task]
    torch.manual_seed(1)
    upstream, weights = upstream_kind(**settings), tmp_path / 'published.pth'
    state = {f'backbone.{key}': value for key, value in upstream.state_dict().items()}
    torch.save(dict(state_dict=state), weights)
    arch = kind(space=SPACE, **settings).space.sample(random.Random(0))
    backbone = dict(
        _delete_=True,
        type=f'mdl_nas_mm.{kind.__name__}',
        space=SPACE,
        arch=arch.to_dict(),
        init_cfg=dict(type='Pretrained', checkpoint=str(weights)),
        **settings,
    )
    given = dict(backbone, type=backbone['type'])
    given.pop('_delete_')
    path = write_config(
        tmp_path / 'config.py', task, given, data_of(task), model=model_of(backbone)
    )
    runner = build_runner(path)
    runner.model.init_weights()
    for name, value in upstream.state_dict().items():
        assert torch.equal(runner.model.backbone.state_dict()[name], value), name
    runner.train()
    assert type(runner.model.backbone) is kind and runner.iter == 2
    changed = dict(runner.model.backbone.named_parameters())
    first = 'conv1.weight' if task == 'cls' else 'conv1.conv.weight'
    assert not torch.equal(changed[first], upstream.state_dict()[first])
    scores = runner.message_hub.log_scalars
    assert any(key.startswith('val/') for key in scores)
