"""Learning rates that fall with the depth: those of upstream's own backbones, block by block."""

import pytest
from helpers import WIDTH, build_model, joint_config, only
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS as MMPRETRAIN
from refusals import raises_naming
from slim_joint import slim_config

from mdl_nas_mm.families import ElasticMobileNetV2
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

RECIPE = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.5, flat_decay_mult=0.0),
)
HEAD = dict(type='LinearClsHead', num_classes=3, in_channels=WIDTH)
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=WIDTH, num_layers=2, num_heads=2, feedforward_channels=48),
    img_size=16,
    patch_size=4,
)
SWIN = dict(
    type='SwinTransformer',
    arch=dict(embed_dims=6, depths=(1, 2), num_heads=(1, 2)),
    out_indices=(0, 1),
)
SWIN_SPACE = [
    dict(embed_dim=(6,), depth=(1,), num_heads=(1,), mlp_ratio=(4,), share_ratio=(0.5,)),
    dict(embed_dim=(12,), depth=(1, 2), num_heads=(2,), mlp_ratio=(4,), share_ratio=(0.5,)),
]


def settings_of(model):
    """Name -> learning rate and weight decay."""
    with task_scope('mdl_nas_mm'):
        optimizer = build_optim_wrapper(model, dict(RECIPE)).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }


def of_upstream(backbone):
    """The same for a classifier of mmpretrain, by the names of our backbones."""
    model = dict(type='ImageClassifier', backbone=backbone, head=HEAD)
    with task_scope('mmpretrain'):
        settings = settings_of(MMPRETRAIN.build(model))
    renamed = {}
    for name, value in settings.items():
        for theirs, ours in (
            ('backbone.layers.', 'backbone.blocks.'),
            ('backbone.ln1.', 'backbone.norm.'),
            ('projection', 'proj'),
            ('.attn.w_msa.', '.attn.'),
            ('.ln1.', '.norm1.'),
            ('.ln2.', '.norm2.'),
            ('.ffn.layers.0.0.', '.mlp.fc1.'),
            ('.ffn.layers.1.', '.mlp.fc2.'),
        ):
            name = name.replace(theirs, ours)
        renamed[name] = value
    return renamed


@pytest.mark.parametrize('sharing', ['Sequential', 'AllShared'])
@pytest.mark.parametrize('kind', ['vit', 'swin'])
def test_the_rates_are_those_of_upstreams_backbone(data, kind, sharing):
    cfg = joint_config(data, sharing)
    if kind == 'swin':
        backbone = dict(type='ElasticSwin', space=SWIN_SPACE, head_dim=6, window_size=4)
        cfg.backbone = dict(backbone, sharing=sharing, pad_small_map=True)
        for task, indices in dict(cls=(1,), det=(0, 1), seg=(0, 1)).items():
            cfg.tasks[task].backbone = dict(out_indices=indices)
    else:
        cfg.backbone.class_token = True
        cfg.backbone.absolute_position = True
        cfg.backbone.max_relative_position = 0
    model = build_model(cfg)
    ours = settings_of(model)
    assert len(ours) == len(list(model.parameters()))
    theirs = of_upstream(VIT if kind == 'vit' else SWIN)
    shared = {name: value for name, value in ours.items() if '.specific.' not in name}
    compared = shared.keys() & theirs.keys()
    # All of ours, but what upstream calls otherwise.
    assert all(name.startswith('tasks.') for name in shared.keys() - compared), shared.keys()
    assert len(compared) > 20
    for name in compared:
        # Upstream decays neither biases nor norms, which are flat, like ours.
        assert ours[name] == theirs[name], name
    for name, value in ours.items():
        layer, is_specific, leaf = name.partition('.specific.')
        if is_specific:
            assert value == ours[f'{layer}.{leaf.partition(".")[2]}'], name
    heads = {value[0] for name, value in ours.items() if name.startswith('tasks.')}
    assert heads == {1.0}
    assert len({value[0] for value in ours.values()}) == (4 if kind == 'vit' else 5)


def test_layers_of_a_slimmable_network_are_its_blocks(data, tmp_path):
    """Layers that have one width may lie in blocks far from each other."""
    model = build_model(slim_config(data, tmp_path))
    rates = {name: rate for name, (rate, _) in settings_of(model).items()}
    blocks = [f'layer{i}.{j}' for i in (1, 2, 3, 4) for j in (0, 1)]
    for name, rate in rates.items():
        place = name.removeprefix('backbone.')
        number = next((i for i, b in enumerate(blocks) if place.startswith(f'{b}.')), -1)
        assert rate == (0.5 ** (8 - number) if name.startswith('backbone.') else 1.0), name
    mobile = ElasticMobileNetV2('whole', conv2=True, out_indices=(7,))
    ends = ('conv1.conv.weight', 'layer1.0.conv.0.conv.weight', 'conv2.conv.weight')
    assert [mobile.get_layer_depth(name)[0] for name in ends] == [0, 1, 18]


def upstream_config(data, depth, library='mmpretrain'):
    """A classifier on one of upstream's own ResNets."""
    cfg = only(joint_config(data, 'AllShared'), 'cls')
    sizes = dict(base_channels=4, stem_channels=4, out_indices=(3,))
    module = dict(type=f'{library}.ResNet', depth=depth, **sizes)
    cfg.backbone = dict(type='UpstreamBackbone', space='whole', module=module)
    cfg.tasks.cls.pop('backbone')
    cfg.tasks.cls.model.neck = dict(type='GlobalAveragePooling')
    return cfg


def test_layers_of_upstreams_own_backbone_are_those_that_it_says(data):
    cfg = upstream_config(data, 50)
    ours = settings_of(build_model(cfg))
    theirs = of_upstream(cfg.backbone.module)
    assert len({rate for rate, _ in theirs.values()}) == 8
    own = {n.replace('.module.', '.'): v for n, v in ours.items() if n.startswith('backbone.')}
    assert own == {n: v for n, v in theirs.items() if n.startswith('backbone.')}


@pytest.mark.parametrize(('depth', 'library'), [(18, 'mmpretrain'), (50, 'mmseg')])
def test_a_backbone_that_says_no_layers_is_refused(data, depth, library):
    model = build_model(upstream_config(data, depth, library))
    with raises_naming(ValueError, 'optim_wrapper.constructor', f'{library}.ResNet'):
        settings_of(model)


def test_a_recipe_without_weight_decay_has_the_optimizers_own(data):
    """mmpretrain's constructor fails without one."""
    cfg = only(joint_config(data), 'cls')
    cfg.optim_wrapper = dict(RECIPE, optimizer=dict(type='AdamW', lr=1.0))
    assert resolve_joint_config(cfg).optim_wrapper.optimizer.weight_decay == 0.01
