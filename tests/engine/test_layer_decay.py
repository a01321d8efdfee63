"""Learning rates that fall with the depth: those of upstream's own backbones, block by block."""

import pytest
from helpers import WIDTH, build_model, joint_config, only
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS as MMPRETRAIN

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


def test_a_recipe_without_weight_decay_has_the_optimizers_own(data):
    """mmpretrain's constructor fails without one."""
    cfg = only(joint_config(data), 'cls')
    cfg.optim_wrapper = dict(RECIPE, optimizer=dict(type='AdamW', lr=1.0))
    assert resolve_joint_config(cfg).optim_wrapper.optimizer.weight_decay == 0.01
