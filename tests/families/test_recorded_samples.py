"""The same seeds give the same architectures as they did before families declared dimensions.

Trainings and searches of that time can then be resumed, and their results be had again.
"""

import hashlib
import json
import random

import pytest

from mdl_nas_mm.families.swin import SWIN
from mdl_nas_mm.families.vit import VIT

TWO_RATIOS = dict(
    embed_dim=(8, 16),
    depth=(1, 2, 3),
    num_heads=(1, 2),
    mlp_ratio=(1, 2),
    attn_share_ratio=(0, 0.5, 1),
    ffn_share_ratio=(0.25, 0.75),
)
SPACES = {
    **{name: VIT.space(name) for name in ('autoformer-t', 'mdl-nas-b', 'deit-s-elastic')},
    **{name: SWIN.space(name) for name in ('mdl-nas-t', 'swin-t-elastic')},
    'two ratios': VIT.space(TWO_RATIOS),
}
RECORDED = {
    'autoformer-t': dict(
        sandwich='e446102045ca728b',
        sample='bde4c17995e6e019',
        mutate='1e1c1d9bfcfda8e1',
        crossover='69c20c31859f3d2c',
        resample_ratios='bde4c17995e6e019',
        extremes='d7de74561940acf4',
        state='974b44635d22f90d',
    ),
    'mdl-nas-b': dict(
        sandwich='46c2a3deeee59be0',
        sample='b130df89b1d1bec5',
        mutate='815dde94566cec44',
        crossover='fa1af25bbd275264',
        resample_ratios='55534ddd3387935b',
        extremes='64ca08d084aaa914',
        state='3636c3481722f370',
    ),
    'mdl-nas-t': dict(
        sandwich='b53e020e7f1688a4',
        sample='cc36966bc5ad7b41',
        mutate='ac02c4a5a1d0bace',
        crossover='df6e13d83d644c1b',
        resample_ratios='4df8871a20fc2a6e',
        extremes='49878d98c94f83c8',
        state='2bb867c6de7fa76c',
    ),
    'swin-t-elastic': dict(
        sandwich='5a326f17d647ff2b',
        sample='9f0a4dd10512c360',
        mutate='db6b23d6fc6a92f3',
        crossover='7523dcd08da1e2fb',
        resample_ratios='9b6f9374a5415225',
        extremes='ecfff004d85c7153',
        state='6bb833a4ef38c968',
    ),
    'deit-s-elastic': dict(
        sandwich='50dfd322313f8303',
        sample='038feac06c2898e1',
        mutate='6aa496e4618286c5',
        crossover='b7fb2fab8a361f75',
        resample_ratios='d3c2793ff97337eb',
        extremes='572d19f32a72fc52',
        state='48f17ceda454676f',
    ),
    'two ratios': dict(
        sandwich='f340976db057a73b',
        sample='10a12c15848cd778',
        mutate='6cb9cd46358f644e',
        crossover='f8e07cf176b48c9a',
        resample_ratios='4cbf441c1951060b',
        extremes='36338637ad967940',
        state='2c4bd7da304e6ac4',
    ),
}


def digest(specs):
    return short(json.dumps([spec.to_dict() for spec in specs]))


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize('name', RECORDED)
def test_seeds_give_what_they_gave(name):
    space, rng = SPACES[name], random.Random(7)
    sandwiches = [spec for _ in range(20) for spec in space.sandwich(rng, 2)]
    parents = [space.sample(rng) for _ in range(20)]
    found = dict(sandwich=digest(sandwiches), sample=digest(parents))
    found['mutate'] = digest([space.mutate(parent, rng) for parent in parents])
    pairs = zip(parents, parents[1:])
    found['crossover'] = digest([space.crossover(a, b, rng) for a, b in pairs])
    found['resample_ratios'] = digest([space.resample_ratios(parent, rng) for parent in parents])
    extremes = [space.largest(), space.largest(0), space.smallest(), space.smallest(0)]
    found.update(extremes=digest(extremes), state=short(repr(rng.getstate())))
    assert found == RECORDED[name]
