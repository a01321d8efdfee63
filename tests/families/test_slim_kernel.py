"""The part of a convolution's weight that an architecture uses, and its gradient."""

import pytest
import torch

from mdl_nas_mm.families.slimmable.layers import SlimConv2d, kernel

CUTS = {
    'all': (6, [(0, 8)]),
    'rows': (4, [(0, 8)]),
    'leading': (4, [(0, 5)]),
    'a run': (6, [(2, 3)]),
    'runs': (4, [(0, 2), (4, 3)]),
}


@pytest.mark.parametrize('cut', CUTS)
def test_it_is_what_indices_take_and_so_is_its_gradient(cut):
    rows, runs = CUTS[cut]
    weight = torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = (weight.clone().requires_grad_() for _ in range(2))
    columns = [column for first, count in runs for column in range(first, first + count)]
    found, expected = kernel(ours, rows, runs), theirs[:rows][:, columns]
    assert torch.equal(found, expected) and found.is_contiguous()
    factors = torch.randn_like(expected)
    for result in (found, expected):
        (result * factors).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
    with torch.no_grad():
        assert torch.equal(kernel(ours, rows, runs), expected)


@pytest.mark.parametrize('groups', [1, 8])
def test_gradients_of_two_widths_add_up(groups):
    conv = SlimConv2d(8, 8, 3, padding=1, groups=groups).double()
    for channels in (8, 5, 3):
        x = torch.randn(2, channels, 4, 4, dtype=torch.float64)
        plain = torch.nn.Conv2d(
            channels, channels, 3, padding=1, groups=channels if groups > 1 else 1
        ).double()
        weight = conv.weight[:channels] if groups > 1 else conv.weight[:channels, :channels]
        plain.load_state_dict(dict(weight=weight, bias=conv.bias[:channels]))
        before = None if conv.weight.grad is None else conv.weight.grad.clone()
        ours, theirs = conv(x, channels), plain(x)
        torch.testing.assert_close(ours, theirs)
        for found in (ours, theirs):
            found.square().sum().backward()
        expected = torch.zeros_like(conv.weight)
        expected[:channels, : plain.weight.shape[1]] = plain.weight.grad
        torch.testing.assert_close(conv.weight.grad, expected + (0 if before is None else before))
