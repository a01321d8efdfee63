"""``UpstreamBackbone``: upstream's own network, one architecture, all of it shared."""

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from refusals import raises_naming

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.tasks.part_flops import counted

RESNET = dict(type='mmseg.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(1, 3))
OTHERS = dict(
    # Its constructor reads values of tensors.
    swin=dict(
        type='mmseg.SwinTransformer', embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 2)
    ),
    mobile=dict(type='mmseg.MobileNetV2', widen_factor=0.25, out_indices=(2, 6)),
    cifar=dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
)
ALL = dict(resnet=RESNET, **OTHERS)


def build(module, **options):
    with task_scope('mdl_nas_mm'):
        return MODELS.build(dict(type='UpstreamBackbone', module=module) | options)


def images(side=64):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=ALL)
def pair(request):
    """Upstream's network and ours with its weights, in evaluation."""
    module = ALL[request.param]
    with task_scope(module['type'].partition('.')[0]):
        theirs = ROOT_MODELS.build(dict(module))
    theirs.train(False)
    ours = build(module, tasks=('a', 'b'))
    ours.module.load_state_dict(theirs.state_dict())
    return theirs, ours.eval(), module


def test_it_gives_what_upstreams_gives(pair):
    theirs, ours, _ = pair
    with torch.no_grad(), activate('a', ours.space.largest()):
        found, expected = ours(images()), theirs(images())
    assert len(found) == len(expected)
    assert all(map(torch.equal, found, expected))
    widths = tuple(x.shape[1] for x in found)
    assert ours.active_channels('a', ours.arch) == widths
    assert ours.map_widths() == list(zip(widths, widths))


def test_its_layout_has_every_parameter_and_counts_what_is_run(pair):
    theirs, ours, _ = pair
    sizes = {use.name: use.size for use in ours.layout.uses(ours.arch)}
    assert sizes == {name: p.numel() for name, p in ours.named_parameters()}
    assert ours.flops('a', ours.arch, (64, 64)) == counted(theirs, images()[:1])[1]


def test_a_plain_copy_has_its_weights_and_statistics(pair):
    _, ours, module = pair
    ours.train()
    ours(images())
    config = dict(type='UpstreamBackbone', module=module, tasks=('a', 'b'))
    plain = plain_part(ours, config, 'b', ours.arch)
    ours.eval()
    with torch.no_grad():
        assert all(map(torch.equal, plain(images()), ours(images())))
    assert not any(parameter.is_meta for parameter in plain.state_dict().values())


def test_depths_of_its_layers_are_those_that_upstream_says():
    """For decays of learning rates, where the backbone tells them by the names of its weights."""
    sizes = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
    backbone = build(dict(type='mmpretrain.VisionTransformer', arch=sizes, img_size=32))
    depths = {
        name: backbone.get_layer_depth(f'backbone.{name}', 'backbone.')
        for name, _ in backbone.named_parameters()
    }
    for name, depth in depths.items():
        own = name.removeprefix('module.')
        assert depth == backbone.module.get_layer_depth(f'backbone.{own}', 'backbone.')
    assert depths['module.layers.2.ln1.weight'] == (3, 5) and depths['module.cls_token'] == (0, 5)


def test_tasks_share_a_pass():
    ours, calls = build(RESNET, tasks=('a', 'b')).eval(), []
    ours.module.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad(), SharedPass():
        for task in ('a', 'b'):
            with activate(task, ours.arch):
                ours(images())
    assert len(calls) == 1


def test_mistakes_are_named():
    with raises_naming(ValueError, 'module.type', "'ResNet'", 'mmseg.'):
        build(dict(RESNET, type='ResNet'))
    with raises_naming(ValueError, 'sharing', 'Sequential'):
        build(RESNET, sharing='Sequential')
