"""A plain Swin transformer, and how to slice one out of a supernet.

Written from the description of the architecture (Liu et al., ICCV 2021), and on purpose as slow
and as literal as it is: one window after another, one head after another, a row of the bias table
looked up for each pair of tokens. Nothing of the elastic layers is used here.
"""

import functools
import math

import torch
from numerics.slicing import Slicer
from torch import nn
from torch.nn import functional as F


@functools.cache
def windows_of(height, width, window, shift):
    """The windows of a map of whole windows, displaced by ``shift`` around the borders.

    Returns:
        Row and column of every token of every window, each (windows, N), and a boolean tensor
        (windows, N, N): which pairs of tokens do not lie in one part of the map, but meet
        because one came around a border.
    """
    rows, columns, apart = [], [], []
    for top in range(shift, height + shift, window):
        for left in range(shift, width + shift, window):
            places = [(top + i, left + j) for i in range(window) for j in range(window)]
            around = [(y >= height, x >= width) for y, x in places]
            apart.append([[one != other for other in around] for one in around])
            rows.append([y % height for y, _ in places])
            columns.append([x % width for _, x in places])
    return torch.tensor(rows), torch.tensor(columns), torch.tensor(apart)


@functools.cache
def table_rows(window):
    """Row of the bias table for each pair (query, key) of tokens of a window: (N, N)."""
    places = [(y, x) for y in range(window) for x in range(window)]
    side = 2 * window - 1
    return torch.tensor(
        [
            [(qy - ky + window - 1) * side + qx - kx + window - 1 for ky, kx in places]
            for qy, qx in places
        ]
    )


class PlainWindowAttention(nn.Module):
    def __init__(self, dim, heads, head_dim, window, qkv_bias):
        super().__init__()
        self.heads, self.head_dim, self.window = heads, head_dim, window
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=qkv_bias)
        self.proj = nn.Linear(heads * head_dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))

    def forward(self, x, shift):
        """Maps (B, H, W, C) to (B, H, W, C)."""
        batch, height, width, channels = x.shape
        down = math.ceil(height / self.window) * self.window
        across = math.ceil(width / self.window) * self.window
        canvas = x.new_zeros(batch, down, across, channels)
        canvas[:, :height, :width] = x
        rows, columns, apart = windows_of(down, across, self.window, shift)
        windows = [self.one_window(x, a) for x, a in zip(canvas[:, rows, columns].unbind(1), apart)]
        out = torch.zeros_like(canvas)
        out[:, rows, columns] = torch.stack(windows, dim=1)
        return out[:, :height, :width]

    def one_window(self, x, apart):
        """(B, N, C) to (B, N, C)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        heads = []
        for i in range(self.heads):
            one = slice(i * self.head_dim, (i + 1) * self.head_dim)
            logits = q[..., one] @ k[..., one].transpose(1, 2) / math.sqrt(self.head_dim)
            logits = logits + self.relative_position_bias_table[:, i][table_rows(self.window)]
            logits = logits - 100 * apart.to(logits.dtype)
            heads.append(logits.softmax(dim=-1) @ v[..., one])
        return self.proj(torch.cat(heads, dim=-1))


class PlainMLP(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class PlainSwinBlock(nn.Module):
    def __init__(self, dim, block, head_dim, window, shift, qkv_bias):
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = PlainWindowAttention(dim, block.num_heads, head_dim, window, qkv_bias)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = PlainMLP(dim, int(dim * block.mlp_ratio))

    def forward(self, x, pad_small_map):
        alone = min(x.shape[1:3]) == self.window and not pad_small_map
        x = x + self.attn(self.norm1(x), 0 if alone else self.shift)
        return x + self.mlp(self.norm2(x))


class PlainMerging(nn.Module):
    def __init__(self, dim, out_dim):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x):
        """Channel 4 * c + 2 * dy + dx is channel c of the token (dy, dx) of a 2 x 2 patch."""
        batch, height, width, channels = x.shape
        canvas = x.new_zeros(batch, height + height % 2, width + width % 2, channels)
        canvas[:, :height, :width] = x
        merged = [
            canvas[:, dy::2, dx::2, c] for c in range(channels) for dy in (0, 1) for dx in (0, 1)
        ]
        return self.reduction(self.norm(torch.stack(merged, dim=-1)))


class PlainSwin(nn.Module):
    """One architecture, nothing elastic in it.

    Args:
        spec: a SubnetSpec.
        window_sizes: side of the windows of each stage.
        out_stages: stages that are returned, with a norm of their own.
    """

    def __init__(
        self,
        spec,
        patch_size,
        head_dim,
        window_sizes,
        in_channels=3,
        qkv_bias=True,
        out_stages=(0, 1, 2, 3),
        pad_small_map=False,
    ):
        super().__init__()
        dims = [stage.embed_dim for stage in spec.stages]
        self.patch_size, self.pad_small_map = patch_size, pad_small_map
        self.out_stages = out_stages
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(in_channels, dims[0], patch_size, patch_size)
        self.patch_embed.norm = nn.LayerNorm(dims[0])
        self.stages = nn.ModuleList()
        for s, (stage, window) in enumerate(zip(spec.stages, window_sizes, strict=True)):
            module = nn.Module()
            module.blocks = nn.ModuleList(
                PlainSwinBlock(dims[s], block, head_dim, window, i % 2 * (window // 2), qkv_bias)
                for i, block in enumerate(stage.blocks)
            )
            if s + 1 < len(dims):
                module.downsample = PlainMerging(dims[s], dims[s + 1])
            self.stages.append(module)
        for s in out_stages:
            self.add_module(f'norm{s}', nn.LayerNorm(dims[s]))

    def forward(self, images):
        """Maps (B, dim, h, w), one a wanted stage."""
        height, width = images.shape[-2:]
        down, across = (math.ceil(side / self.patch_size) for side in (height, width))
        canvas = images.new_zeros(
            *images.shape[:2], down * self.patch_size, across * self.patch_size
        )
        canvas[..., :height, :width] = images
        x = self.patch_embed.norm(self.patch_embed.proj(canvas).permute(0, 2, 3, 1))
        maps = []
        for s, stage in enumerate(self.stages):
            for block in stage.blocks:
                x = block(x, self.pad_small_map)
            if s in self.out_stages:
                maps.append(getattr(self, f'norm{s}')(x).permute(0, 3, 1, 2))
            if s + 1 < len(self.stages):
                x = stage.downsample(x)
        return maps


def slice_swin(state, spec, sharing, task, head_dim, leaves=None):
    """The state dict of the plain model of one subnet with one task's weights; see ``Slicer``."""
    dims, slicer = [stage.embed_dim for stage in spec.stages], Slicer(state, sharing, task, leaves)
    for leaf in ('proj.weight', 'proj.bias', 'norm.weight', 'norm.bias'):
        slicer.wholly_shared(f'patch_embed.{leaf}', dims[0])
    for s, stage in enumerate(spec.stages):
        for i, block in enumerate(stage.blocks):
            prefix = f'stages.{s}.blocks.{i}'
            slicer.block(prefix, block, dims[s], head_dim)
            table = f'{prefix}.attn.relative_position_bias_table'
            slicer.wholly_shared(table, None, block.num_heads)
        if s + 1 < len(dims):
            merging = f'stages.{s}.downsample'
            slicer.wholly_shared(f'{merging}.norm.weight', 4 * dims[s])
            slicer.wholly_shared(f'{merging}.norm.bias', 4 * dims[s])
            slicer.wholly_shared(f'{merging}.reduction.weight', dims[s + 1], 4 * dims[s])
        slicer.wholly_shared(f'norm{s}.weight', dims[s])
        slicer.wholly_shared(f'norm{s}.bias', dims[s])
    return slicer.out


def plain_of(swin, spec, task, parameters):
    """The plain model of a subnet, without weights, and its state dict.

    Args:
        parameters: those of the supernet by name, or copies of them.
    """
    pad = swin.pad_small_map
    pad = pad[task] if isinstance(pad, dict) else pad
    plain = PlainSwin(spec, **vars(swin.shape), pad_small_map=pad)
    state = slice_swin(parameters, spec, swin.sharing, task, swin.shape.head_dim)
    assert set(state) == set(plain.state_dict())
    return plain.to(next(iter(parameters.values())).dtype), state
