"""Attention with a bias: the products for training against the fused form."""

import pytest
import torch

from mdl_nas_mm.families.swin.window_attention import attend


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
