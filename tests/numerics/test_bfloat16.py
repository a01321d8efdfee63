"""Backbones whose weights are bfloat16, against the plain models of their slices.

A number in bfloat16 is off by up to 2^-8 of its size. Errors of single operations partly cancel:
behind up to nine blocks they add up to 2^-6 and a little more, for the plain models as well. So
the tolerance is 2^-5 of the norm of the exact output, and twice the error of the plain model, which
computes the same in another order.
"""

import pytest
import torch
from numerics import plain_swin, plain_vit, small_vit
from numerics.plain_vit import as_features
from numerics.small_swin import build_swin
from numerics.small_vit import MIXED, TASKS, build_vit, draw_images, draw_specs
from torch.func import functional_call

from mdl_nas_mm.spec import JointSpec

TOLERANCE = 2**-5
SIZES = [(20, 28), (17, 22), (25, 18)]
mixed_sharings = pytest.mark.parametrize('sharing', MIXED.values(), ids=MIXED.keys())


def relative_error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


def check(build, run_plain, sharing):
    """Against the same rounded weights and images in double precision."""
    low, exact = build(sharing).bfloat16(), build(sharing)
    exact.load_state_dict(low.state_dict())
    parameters = dict(low.named_parameters())
    for i, spec in enumerate(draw_specs(low, 8)):
        task, images = TASKS[i % 2], draw_images(SIZES[i % 3]).bfloat16()
        right = exact.forward_subnet(images.double(), task, spec)
        ours = low.forward_subnet(images, task, spec)
        theirs = run_plain(low, spec, task, parameters, images)
        for one, other, truth in zip(ours, theirs, right, strict=True):
            assert one.dtype == other.dtype == torch.bfloat16
            error = relative_error(one, truth)
            assert error < TOLERANCE
            assert error < 2 * relative_error(other, truth[:, : other.shape[1]])


@mixed_sharings
@torch.no_grad()
def test_vit(sharing):
    def run_plain(vit, spec, task, parameters, images):
        plain, state = plain_vit.plain_of(vit, spec, task, parameters)
        tokens, grid = functional_call(plain, state, (images,))
        return [as_features(tokens[-1], grid, plain.class_token, vit.out_type)]

    def build(sharing):
        return build_vit(sharing, out_type='featmap')

    check(build, run_plain, sharing)


@mixed_sharings
@torch.no_grad()
def test_swin(sharing):
    def run_plain(swin, spec, task, parameters, images):
        plain, state = plain_swin.plain_of(swin, spec, task, parameters)
        return functional_call(plain, state, (images,))

    check(build_swin, run_plain, sharing)


def test_scores_meet_ratios_that_are_not_rounded():
    """The ledger counts the channels that the model shares."""
    space = dict(small_vit.SPACE, attn_share_ratio=(0.7,), ffn_share_ratio=(0.7,))
    vit = build_vit('Mask', space=space).bfloat16()
    for name, parameter in vit.named_parameters():
        if name.endswith('.score'):
            # 0.7 in bfloat16, which is less than 0.7.
            parameter.data.fill_(0.7)
    counts = vit.ledger().count(JointSpec(dict(a=vit.space.largest())))
    policy, scores = vit.sharing['attn'], vit.blocks[0].attn.qkv.score.view(3, -1)
    assert not policy.mask(scores, 0.7).any()
    parts = vit.layout.uses(vit.space.largest())
    assert counts.specific['a'] == sum(use.size for use in parts if use.role != 'stem')
