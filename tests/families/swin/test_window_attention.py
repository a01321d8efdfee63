"""Attention with a bias: the products for training against the fused form."""

import pytest
import torch

from mdl_nas_mm.families.swin.window_attention import attend
from mdl_nas_mm.families.swin.window_tables import shift_mask


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('biases', [1, 4], ids=['one for all windows', 'one a window'])
def test_a_bias_that_learns_and_one_that_does_not_give_the_same(biases):
    q, k, v = (draw(2, 4, 3, 9, 5, seed=i) for i in range(3))
    bias = draw(biases, 3, 9, 9, seed=3)
    logits = q @ k.transpose(-2, -1) * 5**-0.5 + bias
    expected = logits.softmax(dim=-1) @ v
    for learns in (True, False):
        out = attend(q, k, v, bias.clone().requires_grad_(learns))
        torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_tokens_that_are_kept_apart_have_no_weight(dtype):
    """None at all: a very small one is no normal number, with which processors multiply slowly."""
    mask = shift_mask((14, 14), 7, 3, torch.device('cpu'), dtype)
    logits = 3 * torch.randn(1, 49, 49, generator=torch.Generator().manual_seed(0))
    weights = (logits.to(dtype) + mask).float().softmax(-1)
    assert (weights[mask != 0] == 0).all() and (weights[mask == 0] > 1e-30).all()
    assert 0 < (mask == 0).float().mean() < 1
