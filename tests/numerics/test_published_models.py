"""The published models, built by the name of their space, against their published figures."""

import json
from pathlib import Path

import pytest
import torch
from numerics.counting import multiply_adds, numel

from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace

PUBLISHED = json.loads((Path(__file__).parents[1] / 'data/published_archs.json').read_text())
IMAGE = (224, 224)


def build(space, **changes):
    """The backbone of a classifier, without memory for its weights."""
    is_vit = isinstance(space, str) and space.startswith('deit')
    with torch.device('meta'):
        if is_vit:
            return ElasticViT(space, max_relative_position=0, **changes)
        return ElasticSwin(space, out_indices=(3,), **changes).eval()


def with_head(backbone):
    """Elements with the linear layer for the 1,000 classes of ImageNet."""
    return numel(backbone) + 1000 * (backbone.space.largest().stages[-1].embed_dim + 1)


@pytest.mark.parametrize(
    ('name', 'params', 'millions', 'flops', 'billions'),
    [
        # Liu et al., ICCV 2021, Table 1, and for Swin-L at 224 pixels their repository;
        # mmpretrain's model zoo gives 28.29, 49.61, 87.77 and 196.53 M.
        ('swin-t', 28_288_354, 28.3, 4_489_798_656, 4.5),
        ('swin-s', 49_606_258, 49.6, 8_740_107_264, 8.7),
        ('swin-b', 87_768_224, 87.8, 15_429_922_816, 15.4),
        ('swin-l', 196_532_476, 196.5, 34_474_223_616, 34.5),
        # Touvron et al., ICML 2021, Table 1 for the sizes; FLOPs as in the Swin paper.
        ('deit-t', 5_717_416, 5.7, 1_253_491_200, 1.25),
        ('deit-s', 22_050_664, 22.1, 4_598_498_304, 4.6),
        ('deit-b', 86_567_656, 86.6, 17_563_060_224, 17.5),
    ],
)
def test_single_models(name, params, millions, flops, billions):
    backbone = build(name)
    assert numel(backbone) == backbone.ledger().params(backbone.arch)
    assert with_head(backbone) == params
    assert abs(params / 1e6 - millions) <= 0.051
    counted = multiply_adds(backbone, IMAGE)
    for count, attention_products in zip(counted, (True, False), strict=True):
        assert count == backbone.flops(None, backbone.arch, IMAGE, attention_products)
    assert counted[0] == flops
    assert abs(flops / 1e9 - billions) <= 0.1


@pytest.mark.parametrize(('ours', 'theirs'), [('swin-t', 'tiny'), ('swin-s', 'small')])
def test_mmpretrains_swin_counts_the_same(ours, theirs):
    from mmpretrain.models import SwinTransformer

    backbone, upstream = build(ours), SwinTransformer(theirs).to('meta')
    upstream.eval()
    assert numel(upstream) == numel(backbone)
    for size in [IMAGE, (250, 317)]:
        count, linear = multiply_adds(upstream, size)
        assert count == backbone.flops(None, backbone.arch, size)
        assert linear == backbone.flops(None, backbone.arch, size, attention_products=False)


@pytest.mark.parametrize(
    ('name', 'millions', 'billions'),
    [('Mask classification', 27, 5.2), ('Sequential classification', 28, 5.3)],
)
def test_mdl_nas_t(name, millions, billions):
    """Table 1 of the paper, which does not count the products of the attention."""
    spec = TRANSFORMER.read(PUBLISHED[f'MDL-NAS-T {name}'])
    space = SearchSpace.fixed(spec, TRANSFORMER).to_config()
    backbone = build(space, window_size=(7, 14, 14, 7), img_size=IMAGE[0])
    assert numel(backbone) == backbone.ledger().params(spec)
    assert round(with_head(backbone) / 1e6) == millions
    flops = backbone.flops(None, spec, IMAGE, attention_products=False)
    assert multiply_adds(backbone, IMAGE)[1] == flops
    assert round(flops / 1e9, 1) == billions
