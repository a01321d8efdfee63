"""Layers add up to what the ledger counts."""

import json
import random

import numpy as np
import pytest
from roles import ROLES

from mdl_nas_mm.families.swin import SwinLayout, SwinShape
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace
from mdl_nas_mm.spec.layer_counts import layer_counts

STAGE = dict(
    embed_dim=(6, 8),
    depth=(1, 2),
    num_heads=(1, 2),
    mlp_ratio=(1, 2),
    attn_share_ratio=(0, 0.3, 1),
    ffn_share_ratio=(0.5, 0.7),
)
LAYOUTS = {
    'ViT': ViTLayout(
        SearchSpace.from_config(STAGE, TRANSFORMER),
        ViTShape(img_size=(8, 12), patch_size=4, head_dim=2, max_relative_position=2),
    ),
    'Swin': SwinLayout(
        SearchSpace.from_config([STAGE] * 4, TRANSFORMER),
        SwinShape(patch_size=2, head_dim=2, window_sizes=(3, 2, 2, 1)),
    ),
}
SHARINGS = {
    'shared': 'AllShared',
    'sequential': 'Sequential',
    'mask': 'Mask',
    'mixed': dict(norm='AllSpecific', attn=dict(type='Mask', threshold='ratio'), ffn='Sequential'),
}


def build_ledger(layout, sharing):
    rng = np.random.default_rng(0)
    scores = {
        use.layer: rng.random(use.groups * use.max_channels, np.float32)
        for use in layout.uses(layout.space.largest())
    }
    return Ledger(layout, Sharing.from_config(sharing, ROLES), scores, dict(a=10, b=20, c=0))


@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
@pytest.mark.parametrize('layout', LAYOUTS.values(), ids=LAYOUTS)
def test_layers_add_up_to_the_ledger(layout, sharing):
    ledger, rng = build_ledger(layout, sharing), random.Random(1)
    for _ in range(20):
        joint = JointSpec({task: layout.space.sample(rng) for task in 'abc'})
        report, counts = layer_counts(ledger, joint), ledger.count(joint)
        for task, layers in report['layers'].items():
            specific = sum(layer['specific'] for layer in layers)
            assert specific == counts.specific[task]
            assert specific + sum(layer['shared'] for layer in layers) == counts.backbones[task]
        assert report['counts'] == dict(
            shared=counts.shared,
            specific=counts.specific,
            heads=dict(a=10, b=20, c=0),
            backbone_total=counts.backbone_total,
            backbone_separate=counts.backbone_separate,
            total=counts.total,
            separate=counts.separate,
        )
        assert json.loads(json.dumps(report)) == report


def test_layers_are_named_in_the_order_of_the_backbone():
    layout = LAYOUTS['Swin']
    joint = JointSpec(dict(a=layout.space.smallest()))
    layers = layer_counts(build_ledger(layout, 'Sequential'), joint)['layers']['a']
    block = [f'stages.0.blocks.0.{name}' for name in ('norm1', 'attn', 'norm2', 'mlp')]
    names = [layer['layer'] for layer in layers]
    assert names[:7] == ['patch_embed', *block, 'norm0', 'stages.0.downsample']
    assert names[-1] == 'norm3'
    roles = [layer['role'] for layer in layers]
    assert roles[:7] == ['stem', 'norm', 'attn', 'norm', 'ffn', 'stem', 'stem']
    vit = LAYOUTS['ViT']
    joint = JointSpec(dict(a=vit.space.smallest()))
    layers = layer_counts(build_ledger(vit, 'Sequential'), joint)['layers']['a']
    names = [layer['layer'] for layer in layers]
    assert names[:4] == ['patch_embed', 'cls_token', 'pos_embed', 'norm']
    assert names[4:] == ['blocks.0.norm1', 'blocks.0.attn', 'blocks.0.norm2', 'blocks.0.mlp']
