"""The part of a layer that an architecture uses: of a kernel and its gradient, of a batch norm."""

import pytest
import torch
from torch import nn

from mdl_nas_mm.families.slimmable.layers import SlimBatchNorm2d, SlimConv2d, kernel

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
        plain = nn.Conv2d(
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


@pytest.mark.parametrize('settings', [{}, dict(momentum=None), dict(track_running_stats=False)])
def test_a_narrow_norm_is_one_of_its_leading_channels(settings):
    """Of its statistics too, also where they are the mean over all batches."""
    torch.manual_seed(0)
    slim, plain = SlimBatchNorm2d(6, **settings), nn.BatchNorm2d(4, **settings)
    for parameter in slim.parameters():
        nn.init.normal_(parameter)
    plain.load_state_dict({k: v[:4] if v.dim() else v for k, v in slim.state_dict().items()})
    for number in range(6):
        for norm in (slim, plain):
            norm.train(number < 4)
        images = number + torch.randn(3, 4, 5, 5)
        torch.testing.assert_close(slim(images), plain(images))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(slim.state_dict()[name][:4] if value.dim() else value, value)
    if slim.running_mean is not None:
        assert not slim.running_mean[4:].any() and (slim.running_var[4:] == 1).all()
