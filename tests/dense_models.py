"""Small dense models and samples that the tests of scenes share."""

import torch
from mmengine.registry import DefaultScope
from mmengine.structures import LabelData, PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mdl_nas_mm.scenes  # noqa: F401

PIXELS = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3)
# A backbone of each kind, with the widths of its maps.
BACKBONES = {
    'stock ResNet': (
        dict(
            type='ResNetV1c',
            depth=18,
            stem_channels=8,
            base_channels=8,
            norm_cfg=dict(type='GN', num_groups=2),
        ),
        (8, 16, 32, 64),
    ),
    'ElasticViT': (
        dict(
            type='mdl_nas_mm.ElasticViT',
            space=dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2),
            img_size=32,
            patch_size=8,
            out_type='featmap',
            out_indices=(0, -1),
        ),
        (16, 16),
    ),
    'ElasticSwin': (
        dict(
            type='mdl_nas_mm.ElasticSwin',
            space=[dict(embed_dim=8 << i, depth=1, num_heads=1, mlp_ratio=2) for i in range(2)],
            head_dim=8,
            window_size=4,
            out_indices=(0, 1),
            pad_small_map=True,
        ),
        (8, 16),
    ),
}
GN = dict(type='GN', num_groups=2)


def fcn(widths, **changes):
    """The config of mmseg's ``FCNHead`` on the last map."""
    head = dict(type='FCNHead', in_channels=widths[-1], in_index=len(widths) - 1, channels=8)
    return dict(head, num_convs=1, concat_input=False, norm_cfg=GN, **changes)


def build(target, backbone='stock ResNet', head=fcn, **changes):
    """A ``DenseEstimator``, as a plain mmseg config says it."""
    config, widths = BACKBONES[backbone]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(
            dict(
                type='mdl_nas_mm.DenseEstimator',
                data_preprocessor=dict(PIXELS, size_divisor=16),
                backbone=config,
                decode_head=head(widths),
                target=target,
                **changes,
            )
        )
    return model


def sample(size, meta=(), **labels):
    """A data sample of an image of this size, with labels (C, H, W) or (C,)."""
    found = SegDataSample(metainfo=dict(dict(img_shape=size, ori_shape=size), **dict(meta)))
    for key, label in labels.items():
        kind = PixelData if label.ndim > 1 else LabelData
        found.set_data({key: kind(data=label)})
    return found


def run(model, sizes, samples, mode):
    """The model on random images (3, H, W) of these sizes, preprocessed."""
    torch.manual_seed(1)
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in sizes]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), mode == 'loss')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return model(**data, mode=mode)
