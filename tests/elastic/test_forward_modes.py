"""Activation checkpointing, stochastic depth and mixed precision."""

import copy
import random
import threading

import pytest
import torch
from numerics.small_swin import BUILDERS, all_backbones, backbones_with_sharings, with_sharings
from numerics.small_vit import SPACE, build_vit, draw_images, draw_specs

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families.swin.window_tables import pair_index, shift_mask


def gradients(backbone, task, spec, images, backward=lambda loss: loss.backward()):
    """Loss and gradients by name; the backward pass runs with nothing active any more."""
    backbone.zero_grad()
    torch.manual_seed(0)
    with activate(task, spec):
        loss = sum(out.square().sum() for out in backbone(images))
    backward(loss)
    return loss, {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}


def assert_same(ours, theirs):
    assert torch.equal(ours[0], theirs[0])
    assert set(ours[1]) == set(theirs[1])
    for name, gradient in ours[1].items():
        assert torch.equal(gradient, theirs[1][name]), name


# A ViT with windows recomputes these as well.
CHECKPOINTED = BUILDERS | {
    'ViT with windows': lambda *args, **changes: build_vit(
        *args, window_size=2, out_type='featmap', space=dict(SPACE, depth=(2, 6)), **changes
    )
}


@with_sharings(CHECKPOINTED)
@pytest.mark.parametrize('drop_path_rate', [0.0, 0.5])
def test_checkpointing_gives_the_same_gradients(build, sharing, drop_path_rate):
    """Although blocks are recomputed when nothing, or something else, is active."""
    plain = build(sharing, drop_path_rate=drop_path_rate).train()
    checkpointed = build(sharing, drop_path_rate=drop_path_rate, with_cp=True).train()
    assert_state_equal(plain, checkpointed)
    images, largest = draw_images((12, 16)), plain.space.largest()

    def backward_elsewhere(loss):
        with activate('b', largest):
            loss.backward()

    for spec in draw_specs(plain, 2)[1:]:
        expected = gradients(plain, 'a', spec, images)
        assert_same(gradients(checkpointed, 'a', spec, images), expected)
        assert_same(gradients(checkpointed, 'a', spec, images, backward_elsewhere), expected)


def assert_state_equal(first, second):
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_checkpointing_with_the_backward_pass_in_another_thread():
    """As autograd does it on a device: the thread has a context of its own."""
    plain, checkpointed = build_vit('Mask'), build_vit('Mask', with_cp=True)
    images, spec = draw_images((12, 16)), plain.space.sample(random.Random(1))

    def backward(loss):
        thread = threading.Thread(target=loss.backward)
        thread.start()
        thread.join()

    ours = gradients(checkpointed, 'a', spec, images, backward)
    assert_same(ours, gradients(plain, 'a', spec, images))


def test_checkpointing_recomputes_each_block_once():
    vit = build_vit(with_cp=True)
    calls = []
    for i, block in enumerate(vit.blocks):
        block.register_forward_pre_hook(lambda module, inputs, i=i: calls.append(i))
    spec, images = vit.space.largest(), draw_images((4, 8))
    loss = vit.forward_subnet(images, None, spec)[0].sum()
    assert calls == [0, 1, 2]
    loss.backward()
    assert calls == [0, 1, 2, 2, 1, 0]
    with torch.no_grad():
        vit.forward_subnet(images, None, spec)
    assert calls == [0, 1, 2, 2, 1, 0] + [0, 1, 2]


@all_backbones
def test_stochastic_depth_comes_from_the_seed(build):
    backbone = build(drop_path_rate=0.5).train()
    spec, images = backbone.space.largest(), draw_images((8, 8), batch=16)

    def run(seed):
        torch.manual_seed(seed)
        return backbone.forward_subnet(images, None, spec)[-1]

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    backbone.eval()
    assert torch.equal(run(1), run(2))


def test_stochastic_depth_grows_with_the_block():
    vit = build_vit(drop_path_rate=0.3)
    rates = [block.drop_path.drop_prob for block in vit.blocks]
    assert rates == pytest.approx([0, 0.15, 0.3])
    single = build_vit(space=dict(embed_dim=8, depth=1, num_heads=1, mlp_ratio=1), arch=None)
    assert [block.drop_path.drop_prob for block in single.blocks] == [0]
    # Over the stages of a Swin as over one sequence.
    swin = BUILDERS['Swin'](drop_path_rate=0.8)
    rates = [[block.drop_path.drop_prob for block in stage.blocks] for stage in swin.stages]
    expected = [[0, 0.1], [0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8]]
    assert rates == [pytest.approx(stage) for stage in expected]


def test_a_dropped_block_passes_its_input_on():
    """With the rate at one half, each image's block is either left out or counts twice."""
    space = dict(embed_dim=8, depth=2, num_heads=1, mlp_ratio=1)
    vit = build_vit(space=space, drop_path_rate=0.5, out_type='featmap').train()
    with torch.no_grad():
        for leaf in ('weight', 'bias'):
            getattr(vit.blocks[1].attn.proj, leaf).zero_()
    spec, images = vit.arch, draw_images((4, 4), batch=1).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    (out,) = vit.forward_subnet(images, None, spec)
    patterns = torch.unique(out.flatten(1).round(decimals=9), dim=0)
    assert len(patterns) == 2


@backbones_with_sharings
def test_bfloat16_autocast(build, sharing):
    """Runs, stays close, and leaves weights and gradients in single precision."""
    backbone = build(sharing, dtype=torch.float32)
    images = draw_images((12, 16), dtype=torch.float32)
    for spec in draw_specs(backbone, 2):
        exact = backbone.forward_subnet(images, 'a', spec)[-1]
        backbone.zero_grad()
        with torch.autocast('cpu', torch.bfloat16):
            out = backbone.forward_subnet(images, 'a', spec)[-1]
        assert (out.float() - exact).norm() < 0.1 * exact.norm()
        out.float().square().sum().backward()
        moved = [p for p in backbone.parameters() if p.grad is not None]
        assert moved
        assert all(p.grad.dtype == torch.float32 for p in moved)
        assert all(p.grad.isfinite().all() for p in moved)


@all_backbones
def test_bfloat16_autocast_under_checkpointing(build):
    plain, checkpointed = (
        build('Mask', dtype=torch.float32, with_cp=with_cp) for with_cp in (False, True)
    )
    images, spec = draw_images((12, 16), dtype=torch.float32), plain.space.largest(0)
    with torch.autocast('cpu', torch.bfloat16):
        expected = gradients(plain, 'a', spec, images)
        ours = gradients(checkpointed, 'a', spec, images)
    assert_same(ours, expected)


@all_backbones
def test_no_gradient_under_no_grad_harms_no_later_step(build):
    """A pass without gradients (an evaluation) before a step leaves nothing behind."""
    backbone = build('Sequential')
    fresh = copy.deepcopy(backbone)
    images, spec = draw_images((12, 16)), backbone.space.sample(random.Random(2))
    with torch.no_grad():
        backbone.forward_subnet(images, 'a', spec)
    with torch.inference_mode():
        backbone.forward_subnet(images, 'a', spec)
    assert_same(gradients(backbone, 'a', spec, images), gradients(fresh, 'a', spec, images))


def test_what_is_kept_of_windows_serves_every_later_pass():
    """Indices and masks first needed without gradients serve a step with them all the same."""
    pair_index.cache_clear()
    shift_mask.cache_clear()
    swin = BUILDERS['Swin']('Sequential')
    images, spec = draw_images((24, 16)), swin.space.largest()
    with torch.inference_mode():
        before = swin.forward_subnet(images, 'a', spec)
    assert pair_index.cache_info().currsize and shift_mask.cache_info().currsize
    loss, _ = gradients(swin, 'a', spec, images)
    torch.testing.assert_close(loss, sum(out.square().sum() for out in before))
