"""ElasticViT against the plain model of its slices, and against mmpretrain's."""

import json
from pathlib import Path

import pytest
import torch
from numerics.comparing import CLOSE, EXACT, check_gradients, check_padded, detached
from numerics.plain_vit import PlainViT, as_features, plain_of
from numerics.small_vit import SHAPE, SHARINGS, TASKS, build_vit, draw_images, draw_specs
from torch.func import functional_call

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.spec.footprint import footprint

# As stored; turned; no multiple of the patch and fewer patches than stored; one patch; more
# patches than the relative positions tell apart.
SIZES = [(20, 12), (12, 20), (9, 22), (4, 4), (30, 26)]
OUT_TYPES = ('cls_token', 'avg_featmap', 'featmap')
all_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


def check_features(vit, plain, state, spec, task, size, tolerance):
    images = draw_images(size, dtype=next(vit.parameters()).dtype)
    (ours,) = vit.forward_subnet(images, task, spec)
    tokens, grid = functional_call(plain, state, (images,))
    theirs = as_features(tokens[-1], grid, plain.class_token, vit.out_type)
    check_padded(ours, theirs, vit.out_channels, tolerance)
    return ours, theirs


def check_subnet(vit, spec, task, size):
    """Outputs and gradients of one subnet against the plain model of its slices."""
    leaves = detached(vit)
    plain, state = plain_of(vit, spec, task, leaves)
    ours, theirs = check_features(vit, plain, state, spec, task, size, EXACT)
    check_gradients(vit, leaves, state, [ours], [theirs])


@all_sharings
def test_every_subnet_equals_the_plain_model_of_its_slices(sharing):
    """Largest, smallest and 20 random subnets, in turn of both tasks, sizes and output types."""
    vit = build_vit(sharing)
    for i, spec in enumerate(draw_specs(vit, 20)):
        vit.out_type = OUT_TYPES[i % 3]
        check_subnet(vit, spec, TASKS[i % 2], SIZES[i % 5])


@all_sharings
def test_a_packed_bias_is_shared_entry_by_entry(sharing):
    vit = build_vit(sharing, qkv_bias='packed', out_type='featmap')
    ledger = vit.ledger()
    for i, spec in enumerate(draw_specs(vit, 4)):
        check_subnet(vit, spec, TASKS[i % 2], SIZES[i % 5])
        config = SearchSpace.fixed(spec, TRANSFORMER).to_config()
        fixed = ElasticViT(space=config, qkv_bias='packed', **SHAPE)
        assert numel(fixed) == ledger.params(spec) == fixed.ledger().params(spec)
        joint = JointSpec(dict.fromkeys(TASKS, spec))
        ones = [(task, spec) for task in TASKS]
        stored = sum(int(lengths.sum()) for lengths in footprint(ledger, ones).values())
        assert ledger.count(joint).backbone_total == stored


@pytest.mark.slow
@pytest.mark.parametrize('seed', [1, 2])
@all_sharings
def test_many_subnets_equal_the_plain_models_of_their_slices(sharing, seed):
    """40 more subnets, each at every size."""
    vit = build_vit(sharing, seed)
    for i, spec in enumerate(draw_specs(vit, 40, seed)):
        vit.out_type = OUT_TYPES[i % 3]
        for size in SIZES:
            check_subnet(vit, spec, TASKS[i % 2], size)


@pytest.mark.parametrize(
    'changes',
    [
        dict(class_token=False),
        dict(qkv_bias=False),
        dict(qkv_bias='packed'),
        dict(absolute_position=False),
        dict(max_relative_position=0),
        dict(max_relative_position=14),
        dict(norm_eps=0.1),
        dict(class_token=False, absolute_position=False, max_relative_position=0),
    ],
    ids=str,
)
def test_other_shapes_equal_the_plain_model(changes):
    vit = build_vit('Sequential', out_type='featmap', **changes)
    for i, spec in enumerate(draw_specs(vit, 6)):
        check_subnet(vit, spec, TASKS[i % 2], SIZES[i % 5])


@all_sharings
def test_single_precision_agrees_to_1e_5(sharing):
    vit = build_vit(sharing, dtype=torch.float32)
    parameters = dict(vit.named_parameters())
    for i, spec in enumerate(draw_specs(vit, 6)):
        vit.out_type, task = OUT_TYPES[i % 3], TASKS[i % 2]
        plain, state = plain_of(vit, spec, task, parameters)
        check_features(vit, plain, state, spec, task, SIZES[i % 5], CLOSE)


@pytest.mark.parametrize(
    ('sharing', 'ratio'),
    [
        ('AllShared', 0),
        ('Sequential', 1),
        # A score is at least 0, so that this threshold shares every channel (Eq. 8).
        ('Mask', 0),
        (dict(type='Mask', threshold='ratio'), 1),
    ],
    ids=str,
)
def test_largest_wholly_shared_is_the_plain_model_with_the_same_keys(sharing, ratio):
    """The supernet's shared weights load into the plain model as they are."""
    vit = build_vit(sharing, dtype=torch.float32)
    spec = vit.space.largest(-1 if ratio else 0)
    assert {block.attn_share_ratio for block in spec.stages[0].blocks} == {ratio}
    plain = PlainViT(spec, **SHAPE)
    state = vit.state_dict()
    ours = {k: v for k, v in state.items() if '.specific.' not in k and not k.endswith('.score')}
    plain.load_state_dict(ours, strict=True)
    for size in SIZES:
        images = draw_images(size, dtype=torch.float32)
        for task in TASKS:
            with activate(task, spec):
                (features,) = vit(images)
            torch.testing.assert_close(features, plain.features(images, 'cls_token'), **CLOSE)


def mmpretrain_key(key):
    """The key in mmpretrain's VisionTransformer of a parameter of ours."""
    if key.startswith('norm.'):
        return key.replace('norm.', 'ln1.')
    for ours, theirs in (
        ('patch_embed.proj', 'patch_embed.projection'),
        ('blocks', 'layers'),
        ('norm1', 'ln1'),
        ('norm2', 'ln2'),
        ('mlp.fc1', 'ffn.layers.0.0'),
        ('mlp.fc2', 'ffn.layers.1'),
    ):
        key = key.replace(ours, theirs)
    return key


@pytest.mark.parametrize(
    ('out_type', 'class_token'),
    [(kind, True) for kind in OUT_TYPES] + [(kind, False) for kind in OUT_TYPES[1:]],
)
def test_equals_mmpretrains_vision_transformer(out_type, class_token):
    """Where a head is embed_dim / heads wide and there are no relative positions."""
    from mmpretrain.models import VisionTransformer

    vit = build_vit(
        space=dict(embed_dim=16, depth=3, num_heads=4, mlp_ratio=2),
        dtype=torch.float32,
        max_relative_position=0,
        class_token=class_token,
        out_type=out_type,
        out_indices=(0, 2),
    ).eval()
    upstream = VisionTransformer(
        arch=dict(embed_dims=16, num_layers=3, num_heads=4, feedforward_channels=32),
        img_size=SHAPE['img_size'],
        patch_size=SHAPE['patch_size'],
        out_type=out_type,
        out_indices=[0, 2],
        with_cls_token=class_token,
    )
    upstream.eval()
    if out_type == 'avg_featmap':
        # It has a second norm behind the mean; the final norm is the only one here.
        upstream.ln2 = torch.nn.Identity()
    state = {mmpretrain_key(key): value for key, value in vit.state_dict().items()}
    upstream.load_state_dict(state, strict=True)
    for size in SIZES:
        images = draw_images(size, dtype=torch.float32)
        for ours, theirs in zip(vit(images), upstream(images), strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('spread', [0.02, 0.4])
def test_positions_begin_with_the_spread_that_is_asked_for(spread):
    torch.manual_seed(0)
    space = dict(embed_dim=32, depth=1, num_heads=2, mlp_ratio=1)
    vit = ElasticViT(space, img_size=64, patch_size=8, head_dim=16, position_std=spread)
    assert vit.pos_embed.std().item() == pytest.approx(spread, rel=0.1)


def test_ledger_counts_what_a_real_module_has():
    """A subnet counts as many elements as the model built for it alone."""
    vit = build_vit('Sequential')
    ledger = vit.ledger()
    for spec in draw_specs(vit, 20):
        fixed = ElasticViT(space=SearchSpace.fixed(spec, TRANSFORMER).to_config(), **SHAPE)
        assert numel(fixed) == ledger.params(spec) == fixed.ledger().params(spec)
        assert numel(PlainViT(spec, **SHAPE)) == ledger.params(spec)
        # All specific: the module owns everything twice but what lies outside the blocks.
        owned = ElasticViT(
            space=SearchSpace.fixed(spec, TRANSFORMER).to_config(),
            sharing='AllSpecific',
            tasks=TASKS,
            **SHAPE,
        )
        counts = owned.ledger().count(JointSpec(dict.fromkeys(TASKS, spec)))
        assert numel(owned) == counts.backbone_total


def test_published_autoformer_b_has_its_published_size():
    data = json.loads((Path(__file__).parents[1] / 'data/published_archs.json').read_text())
    spec = TRANSFORMER.read(data['AutoFormer-B'])
    with torch.device('meta'):
        vit = ElasticViT(space=SearchSpace.fixed(spec, TRANSFORMER).to_config())
        head = torch.nn.Linear(spec.stages[0].embed_dim, 1000)
    assert numel(vit) == vit.ledger().params(spec)
    assert numel(vit) + numel(head) == 53_691_688
