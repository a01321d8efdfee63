"""Compares an elastic backbone with the plain model of its slices, gradients included."""

import torch

EXACT = dict(rtol=1e-10, atol=1e-10)
CLOSE = dict(rtol=1e-5, atol=1e-5)


def detached(backbone):
    """A copy of the parameters by name, each a leaf of its own."""
    return {
        name: parameter.detach().clone().requires_grad_()
        for name, parameter in backbone.named_parameters()
    }


def check_padded(ours, theirs, channels, tolerance):
    """``ours`` is ``theirs`` with channels of zeros behind, up to ``channels``."""
    width = theirs.shape[1]
    assert ours.shape[1] == channels
    torch.testing.assert_close(ours[:, :width], theirs, **tolerance)
    assert not ours[:, width:].any()


def check_gradients(backbone, leaves, state, ours, theirs):
    """The same gradient in every parameter, and none outside the slices.

    Args:
        leaves: what ``detached`` gave.
        state: slices of the leaves, by key of the plain model.
        ours: outputs of the backbone.
        theirs: outputs of the plain model with ``state``.
    """
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=generator, dtype=y.dtype) for y in theirs]
    backbone.zero_grad()
    sum((x[:, : w.shape[1]] * w).sum() for x, w in zip(ours, weights, strict=True)).backward()
    own = [name for name in leaves if not name.endswith('.score')]
    inputs = [leaves[name] for name in own]
    loss = sum((y * w).sum() for y, w in zip(theirs, weights, strict=True))
    expected = torch.autograd.grad(loss, inputs, allow_unused=True)
    total = sum(value.sum() for value in state.values())
    used = torch.autograd.grad(total, inputs, allow_unused=True)
    parameters = dict(backbone.named_parameters())
    for name, right, mask in zip(own, expected, used, strict=True):
        gradient = parameters[name].grad
        # Sliced and without influence on the outputs: the class token where windows drop it.
        if mask is None or right is None:
            assert gradient is None or not gradient.any(), name
            continue
        torch.testing.assert_close(gradient, right, **EXACT, msg=lambda m, n=name: f'{n}: {m}')
        assert not gradient[mask == 0].any(), name
