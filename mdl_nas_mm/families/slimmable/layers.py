"""Layers of which a call says how many leading channels it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layout import Layer


class SlimConv2d(nn.Conv2d):
    """A convolution of leading channels; with as many groups as channels it is depthwise."""

    def forward(
        self,
        input: Tensor,
        channels: int | None = None,
        runs: Sequence[tuple[int, int]] | None = None,
    ) -> Tensor:
        """Convolves (B, C, H, W) to (B, channels, h, w).

        Args:
            input: the images.
            channels: of the output; by default all.
            runs: of the kernel's input channels, as (first, how many), where ``input`` is a
                concatenation of leading channels; by default the first C.
        """
        channels = self.out_channels if channels is None else channels
        groups = channels if self.groups > 1 else 1
        runs = [(0, 1 if self.groups > 1 else input.shape[1])] if runs is None else runs
        weight = kernel(self.weight, channels, runs)
        bias = None if self.bias is None else leading(self.bias, channels)
        return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, groups)


class SlimBatchNorm2d(nn.BatchNorm2d):
    """A batch norm of its leading channels, as many as its input has."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalises (B, C, H, W)."""
        width = input.shape[1]
        if width == self.num_features:
            return super().forward(input)
        factor, mean, var = self.momentum, self.running_mean, self.running_var
        if mean is not None and var is not None:
            mean, var = mean[:width], var[:width]
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            factor = 1 / float(self.num_batches_tracked) if factor is None else factor
        affine = leading(self.weight, width), leading(self.bias, width)
        is_batch = self.training or mean is None
        return F.batch_norm(input, mean, var, *affine, is_batch, factor or 0.0, self.eps)


class ConvNorm(nn.Module):
    """A convolution and its batch norm, under the names that they have in mmcv's ``ConvModule``."""

    def __init__(self, layer: Layer, counts: Mapping[str, int], norm_cfg: Mapping) -> None:
        super().__init__()
        self.conv = make_conv(layer, counts)
        self.bn = make_norm(layer, counts, norm_cfg)

    def forward(self, x: Tensor, channels: int) -> Tensor:
        """Maps (B, C, H, W) to (B, channels, h, w)."""
        return self.bn(self.conv(x, channels))


class SlimLinear(nn.Linear):
    """A linear map of the leading channels of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (..., C) to (..., all outputs)."""
        weight = leading(self.weight, self.out_features, input.shape[-1])
        return F.linear(input, weight, self.bias)


def kernel(weight: Tensor, rows: int, runs: Sequence[tuple[int, int]]) -> Tensor:
    """The first rows of a convolution's weight, of each some runs of its columns.

    It is one piece of memory, or each of the convolution's two passes would copy it.

    Args:
        weight: (rows, columns, height, width).
        rows: how many of them.
        runs: of columns, as (first, how many), in their order.
    """
    parts = [leading(weight, rows, count, first) for first, count in runs]
    return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts, dim=1)


def leading(weight: Tensor, rows: int, columns: int | None = None, first: int = 0) -> Tensor:
    """The first rows of a weight (rows[, columns, ...]), of each some columns, as one view.

    The gradient of every slice is a tensor of zeros as large as what it was taken from.
    """
    inner = weight.shape[1:] if columns is None else (columns, *weight.shape[2:])
    shape = (rows, *inner)
    if shape == weight.shape:
        return weight
    offset = first * weight.stride(1) if first else 0
    return weight.as_strided(shape, weight.stride(), weight.storage_offset() + offset)


def make_conv(layer: Layer, counts: Mapping[str, int]) -> SlimConv2d:
    """A layer's convolution for as many channels, initialised as upstream's ResNet does."""
    channels = counts[layer.writes]
    conv = SlimConv2d(
        channels if layer.depthwise else sum(counts[name] for name in layer.reads),
        channels,
        layer.kernel,
        layer.stride,
        layer.dilation * (layer.kernel // 2),
        layer.dilation,
        groups=channels if layer.depthwise else 1,
        bias=layer.bias,
    )
    nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
    return conv


def make_norm(layer: Layer, counts: Mapping[str, int], norm_cfg: Mapping) -> SlimBatchNorm2d:
    """A layer's batch norm for as many channels.

    Args:
        layer: of which it is.
        counts: width -> channels.
        norm_cfg: ``dict(type='BN')`` in upstream's form, perhaps with ``requires_grad``, ``eps``,
            ``momentum``.

    Raises:
        ValueError: it is another norm, or has other settings.
    """
    check_norm(norm_cfg)
    settings = {k: v for k, v in norm_cfg.items() if k not in ('type', 'requires_grad')}
    norm = SlimBatchNorm2d(counts[layer.writes], **settings)
    for parameter in norm.parameters():
        parameter.requires_grad_(norm_cfg.get('requires_grad', True))
    return norm


def check_norm(norm_cfg: Mapping | None) -> None:
    """Raises ValueError unless a norm is upstream's plain batch norm."""
    kind = norm_cfg.get('type') if norm_cfg else None
    if kind not in ('BN', 'BN2d'):
        raise ValueError(f"norm_cfg: a slimmable network has batch norms, 'BN', not {kind!r}")
    for key in norm_cfg or ():
        if key not in ('type', 'requires_grad', 'eps', 'momentum', 'track_running_stats'):
            raise ValueError(f'norm_cfg: unknown key {key!r} of a batch norm')
