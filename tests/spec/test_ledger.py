"""The ledger against counting by hand, element by element, and against published sizes."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from mdl_nas_mm.spec import (
    JointSpec,
    Ledger,
    SearchSpace,
    Sharing,
    SubnetSpec,
    ViTLayout,
    ViTShape,
)

SIZES = dict(embed_dim=(6, 8), depth=(1, 2), num_heads=(1, 2, 3), mlp_ratio=(1, 2))
RATIOS = (0, 0.3, 0.5, 1)
ONE_RATIO = SearchSpace.from_config(dict(SIZES, share_ratio=RATIOS))
TWO_RATIOS = SearchSpace.from_config(dict(SIZES, attn_share_ratio=RATIOS, ffn_share_ratio=RATIOS))
SHAPE = ViTShape(img_size=(8, 12), patch_size=4, head_dim=2, max_relative_position=2)
SHARINGS = {
    'shared': 'AllShared',
    'specific': 'AllSpecific',
    'sequential': 'Sequential',
    'mask': 'Mask',
    'mask by ratio': dict(type='Mask', threshold='ratio'),
    'mixed': dict(norm='AllSpecific', attn='Mask', ffn='Sequential'),
}
PUBLISHED = json.loads((Path(__file__).parents[1] / 'data/published_archs.json').read_text())


class ByHand:
    """Marks every element of every parameter of a subnet as used or not, and shared or not."""

    def __init__(self, shape, sharing, scores):
        self.shape, self.sharing, self.scores = shape, sharing, scores

    def is_shared(self, layer, role, ratio, group, row, rows, max_rows):
        """Whether one output channel of a layer is shared."""
        policy = self.sharing[role] if role else None
        if policy is None or policy.type == 'AllShared':
            return True
        if policy.type == 'AllSpecific':
            return False
        if policy.type == 'Sequential':
            # A channel belongs to the prefix if its middle lies within it.
            return row + 0.5 <= ratio * rows
        scores = self.scores[layer][group * max_rows : (group + 1) * max_rows]
        if policy.threshold == 'score':
            return scores[row] >= np.float32(ratio)
        better = (scores[:rows] > scores[row]).sum() + (scores[:row] == scores[row]).sum()
        return better + 0.5 <= ratio * rows

    def mark(self, marks, name, role, ratio, groups, rows, columns):
        """``rows`` and ``columns`` are pairs (in use, stored)."""
        used = np.zeros((groups, rows[1], columns[1]), bool)
        shared = np.zeros_like(used)
        layer = name.rsplit('.', 1)[0]
        for group in range(groups):
            for row in range(rows[0]):
                used[group, row, : columns[0]] = True
                if self.is_shared(layer, role, ratio, group, row, *rows):
                    shared[group, row, : columns[0]] = True
        marks[name] = used, shared

    def marks(self, spec, space):
        """State-dict key -> (used, shared), boolean and of the parameter's whole size."""
        shape, marks = self.shape, {}
        (stage,), (choices,) = spec.stages, space.stages
        dim = (stage.embed_dim, choices.embed_dim[-1])

        def add(name, role, ratio, rows, columns=(1, 1), groups=1):
            self.mark(marks, name, role, ratio, groups, rows, columns)

        patch = shape.in_channels * shape.patch_size**2
        add('patch_embed.proj.weight', None, 1, dim, (patch, patch))
        add('patch_embed.proj.bias', None, 1, dim)
        tokens = (shape.img_size[0] // shape.patch_size) * (shape.img_size[1] // shape.patch_size)
        if shape.class_token:
            tokens += 1
            add('cls_token', None, 1, (1, 1), dim)
        if shape.absolute_position:
            add('pos_embed', None, 1, (tokens, tokens), dim)
        add('norm.weight', None, 1, dim)
        add('norm.bias', None, 1, dim)
        for i, block in enumerate(stage.blocks):
            heads = (block.num_heads, choices.blocks[i].num_heads[-1])
            inner = tuple(h * shape.head_dim for h in heads)
            ratio = (block.mlp_ratio, choices.blocks[i].mlp_ratio[-1])
            hidden = tuple(int(d * r) for d, r in zip(dim, ratio, strict=True))
            attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
            for key in ('weight', 'bias'):
                add(f'blocks.{i}.norm1.{key}', 'norm', attn, dim)
                add(f'blocks.{i}.norm2.{key}', 'norm', ffn, dim)
            add(f'blocks.{i}.attn.qkv.weight', 'attn', attn, inner, dim, 3)
            if shape.qkv_bias:
                add(f'blocks.{i}.attn.qkv.bias', 'attn', attn, inner, groups=3)
            add(f'blocks.{i}.attn.proj.weight', 'attn', attn, dim, inner)
            add(f'blocks.{i}.attn.proj.bias', 'attn', attn, dim)
            add(f'blocks.{i}.mlp.fc1.weight', 'ffn', ffn, hidden, dim)
            add(f'blocks.{i}.mlp.fc1.bias', 'ffn', ffn, hidden)
            add(f'blocks.{i}.mlp.fc2.weight', 'ffn', ffn, dim, hidden)
            add(f'blocks.{i}.mlp.fc2.bias', 'ffn', ffn, dim)
            if shape.max_relative_position:
                rows, width = 2 * shape.max_relative_position + 2, shape.head_dim
                for key in ('k_v', 'k_h', 'v_v', 'v_h'):
                    table = f'rel_pos_embed_{key[0]}.embeddings_table_{key[2]}'
                    add(f'blocks.{i}.attn.{table}', None, 1, (rows, rows), (width, width))
        return marks


def mask_scores(space, shape, seed):
    """Layer -> scores, some of them equal, of every layer that can have a mask."""
    rng, widest = np.random.default_rng(seed), space.stages[0]
    dim, scores = widest.embed_dim[-1], {}
    for i, block in enumerate(widest.blocks):
        channels = {
            'norm1': dim,
            'norm2': dim,
            'attn.qkv': 3 * block.num_heads[-1] * shape.head_dim,
            'attn.proj': dim,
            'mlp.fc1': int(dim * block.mlp_ratio[-1]),
            'mlp.fc2': dim,
        }
        for layer, size in channels.items():
            scores[f'blocks.{i}.{layer}'] = rng.integers(0, 11, size).astype(np.float32) / 10
    return scores


@pytest.mark.parametrize('config', SHARINGS.values(), ids=SHARINGS.keys())
@pytest.mark.parametrize('space', [ONE_RATIO, TWO_RATIOS], ids=['one ratio', 'two ratios'])
def test_counts_equal_counting_by_hand(space, config):
    sharing, scores = Sharing.from_config(config), mask_scores(space, SHAPE, 0)
    ledger = Ledger(ViTLayout(space, SHAPE), sharing, scores, heads=dict(a=100, c=7))
    by_hand, rng = ByHand(SHAPE, sharing, scores), random.Random(0)
    for _ in range(120):
        joint = JointSpec({task: space.sample(rng) for task in 'abc'})
        marks = {task: by_hand.marks(spec, space) for task, spec in joint.items()}
        counts, union = ledger.count(joint), {}
        for task, found in marks.items():
            assert {use.name for use in ledger.layout.uses(joint[task])} == set(found)
            for name, (_, shared) in found.items():
                union[name] = union.get(name, False) | shared
            assert counts.backbones[task] == sum(used.sum() for used, _ in found.values())
            assert counts.specific[task] == sum((u & ~s).sum() for u, s in found.values())
        assert counts.shared == sum(shared.sum() for shared in union.values())
        assert counts.backbone_total == counts.shared + sum(counts.specific.values())
        assert counts.total == counts.backbone_total + 107
        assert counts.separate == sum(counts.backbones.values()) + 107


@pytest.mark.parametrize(
    'changes',
    [
        dict(class_token=False),
        dict(qkv_bias=False),
        dict(absolute_position=False),
        dict(max_relative_position=0),
        dict(img_size=(16, 16), head_dim=3, in_channels=1),
    ],
    ids=str,
)
def test_params_of_other_shapes(changes):
    shape = ViTShape(**{**vars(SHAPE), **changes})
    ledger = Ledger(ViTLayout(ONE_RATIO, shape), Sharing())
    by_hand, rng = ByHand(shape, Sharing(), {}), random.Random(0)
    for spec in (ONE_RATIO.sample(rng) for _ in range(20)):
        marks = by_hand.marks(spec, ONE_RATIO)
        assert ledger.params(spec) == sum(used.sum() for used, _ in marks.values())


def test_policies_at_the_ends():
    """Wholly shared costs one largest model; wholly specific shares only what cannot be owned."""
    space, rng = ONE_RATIO, random.Random(0)
    layout = ViTLayout(space, SHAPE)
    joint = JointSpec({task: space.sample(rng) for task in 'abc'})
    same = JointSpec(dict.fromkeys('abc', joint['a']))
    for sharing in ('AllShared', 'AllSpecific', 'Sequential'):
        counts = Ledger(layout, Sharing.from_config(sharing)).count(joint)
        assert max(counts.backbones.values()) <= counts.backbone_total <= counts.separate
    shared = Ledger(layout, Sharing.from_config('AllShared'))
    assert shared.count(same).total == shared.params(joint['a'])
    specific = Ledger(layout, Sharing.from_config('AllSpecific')).count(same)
    stem = sum(use.size for use in layout.uses(joint['a']) if use.role == 'stem')
    assert specific.shared == stem
    assert specific.total == stem + 3 * (shared.params(joint['a']) - stem)


def test_mask_without_scores_is_refused():
    ledger = Ledger(ViTLayout(ONE_RATIO, SHAPE), Sharing.from_config('Mask'))
    with pytest.raises(ValueError, match="no mask scores for layer 'blocks.0"):
        ledger.count(JointSpec(dict(a=ONE_RATIO.smallest())))


@pytest.mark.parametrize(
    ('name', 'params', 'published'),
    [
        ('AutoFormer-T', 5_867_944, 5.8),
        ('AutoFormer-S', 22_891_432, 22.9),
        ('AutoFormer-B', 53_691_688, 53.7),
        # The paper's figures are 1 and 1.5 M above what its own table of architectures gives.
        ('MDL-NAS-B Mask classification', 49_008_592, 50),
        ('MDL-NAS-B Sequential classification', 53_465_032, 55),
    ],
)
def test_published_classifiers(name, params, published):
    spec = SubnetSpec.from_dict(PUBLISHED[name])
    ledger = Ledger(ViTLayout(SearchSpace.fixed(spec), ViTShape()), Sharing())
    head = 1000 * (spec.stages[0].embed_dim + 1)
    assert ledger.params(spec) + head == params
    assert abs(params / 1e6 / published - 1) < 0.03


def test_published_joint_total():
    """The three tasks of MDL-NAS-B (sequential) in one file: 256 M in the paper's Table 4.

    Its heads are what its Tables 2 and 3 give for the whole detector (129 M) and segmentor
    (130 M) beyond their backbones, and the classifier's linear layer.
    """
    joint = JointSpec(
        {
            task: SubnetSpec.from_dict(PUBLISHED[f'MDL-NAS-B Sequential {task}'])
            for task in ('classification', 'detection', 'segmentation')
        }
    )
    space = SearchSpace.from_config(
        dict(
            embed_dim=(528, 576, 624),
            depth=16,
            num_heads=(9, 10),
            mlp_ratio=(3, 3.5, 4),
            share_ratio=(0.4, 0.5, 0.6),
        )
    )
    space.check_joint(joint, tuple(joint))
    layout, sharing = ViTLayout(space, ViTShape()), Sharing.from_config('Sequential')
    backbones = Ledger(layout, sharing).count(joint).backbones
    heads = dict(
        classification=1000 * 529,
        detection=129_000_000 - backbones['detection'],
        segmentation=130_000_000 - backbones['segmentation'],
    )
    counts = Ledger(layout, sharing, heads=heads).count(joint)
    assert counts.backbone_total == 134_081_957
    assert abs(counts.total / 256e6 - 1) < 0.01
