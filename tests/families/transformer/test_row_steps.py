"""A transformer taken apart into steps of rows computes what it computes whole."""

import pytest
import torch
import torch.nn.functional as F
from numerics.small_swin import build_swin
from refusals import raises_naming

from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.families.swin.family import SWIN as SWIN_FAMILY
from mdl_nas_mm.families.transformer.row_steps import MergingSteps

VIT = dict(embed_dim=16, depth=5, num_heads=2, mlp_ratio=2)
SWIN = [
    dict(embed_dim=8, depth=2, num_heads=1, mlp_ratio=2),
    dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2),
]


def vit(**settings):
    settings = dict(img_size=32, patch_size=8, head_dim=8, out_type='featmap') | settings
    return ElasticViT(space=VIT, **settings)


def swin(**settings):
    settings = dict(window_size=4, head_dim=8, out_indices=(1, 0), pad_small_map=True) | settings
    return ElasticSwin(space=SWIN, **settings)


CASES = {
    'ViT': (vit, {}),
    'ViT of several blocks': (vit, dict(out_indices=(1, 4))),
    'ViT in windows': (vit, dict(window_size=3)),
    'class token': (vit, dict(out_type='cls_token', max_relative_position=0)),
    'packed bias': (vit, dict(class_token=False, qkv_bias='packed')),
    'no bias': (vit, dict(qkv_bias=False, out_type='avg_featmap', max_relative_position=0)),
    'Swin': (swin, {}),
    'Swin without bias': (swin, dict(qkv_bias=False)),
}


def walk(steps, images, look=lambda step, qkv, attended: None):
    """The outputs, by all rows at once."""
    rows, outputs = steps.embed(images), {}
    for number, step in enumerate(steps.steps):
        if isinstance(step, MergingSteps):
            rows = step.reduction(step.gather(rows))
        else:
            qkv = step.qkv(step.norm1(rows))
            attended = step.attention.all_rows(qkv)
            look(step, qkv, attended)
            rows = rows + step.proj(attended)
            rows = rows + step.fc2(F.gelu(step.fc1(step.norm2(rows))))
        if number in steps.outputs:
            outputs[number] = steps.outputs[number](rows)
    return [outputs[number] for number in steps.order]


@pytest.mark.parametrize('size', [(32, 32), (28, 41)])
@pytest.mark.parametrize('case', CASES)
@torch.no_grad()
def test_steps_compute_what_the_backbone_does(case, size):
    build, settings = CASES[case]
    torch.manual_seed(0)
    backbone = build(**settings).double().eval()
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    take_apart = backbone.family.row_steps
    found, expected = walk(take_apart(backbone, 2, size), images), backbone(images)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize('case', CASES)
@torch.no_grad()
def test_some_rows_attend_as_among_all(case):
    build, settings = CASES[case]
    torch.manual_seed(0)
    backbone = build(**settings).double().eval()
    take_apart = backbone.family.row_steps
    seen = []

    def look(step, qkv, attended):
        for part in (0.05, 0.5, 1.0):
            mask = torch.rand(len(qkv)) < part
            mask[3] = True
            some = step.attention.some_rows(qkv, mask)
            torch.testing.assert_close(some, attended[mask], rtol=0, atol=1e-12)
            # Rows of no touched group do not see the masked ones.
            changed = torch.where(mask[:, None], torch.rand_like(qkv), qkv)
            touched = step.attention.touched(mask)
            after = step.attention.all_rows(changed)
            assert torch.equal(after[~touched], attended[~touched])
            seen.append(bool(touched.all()))

    walk(take_apart(backbone, 2, (32, 32)), torch.rand(2, 3, 32, 32, dtype=torch.float64), look)
    assert any(seen)


def test_several_architectures_are_refused():
    with raises_naming(ValueError, 'ElasticSwin'):
        SWIN_FAMILY.row_steps(build_swin('AllSpecific'), 1, (32, 32))
