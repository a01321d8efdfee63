"""A plain vision transformer in AutoFormer's shape, and how to slice one out of a supernet.

Written from the description of the architecture, and on purpose as slow and as literal as it is:
a table of all pairs of positions, a loop over windows. Nothing of the elastic layers is used here.
"""

import functools
import math
from fractions import Fraction

import torch
from numerics.slicing import Slicer
from torch import nn
from torch.nn import functional as F


@functools.cache
def pair_rows(grid, class_token, limit):
    """Rows of the vertical and of the horizontal table for every pair (query, key) of tokens.

    Returns:
        Two integer tensors (N, N). Distances are key minus query, clamped to ``limit``; row 0
        is for every pair with the class token.
    """
    places = [None] if class_token else []
    places += [(y, x) for y in range(grid[0]) for x in range(grid[1])]

    def row(distance):
        return max(-limit, min(limit, distance)) + limit + 1

    tables = []
    for axis in (0, 1):
        rows = [
            [0 if None in (query, key) else row(key[axis] - query[axis]) for key in places]
            for query in places
        ]
        tables.append(torch.tensor(rows))
    return tables


class PlainRelativePosition(nn.Module):
    """The embedding of every pair of tokens."""

    def __init__(self, head_dim, limit):
        super().__init__()
        self.limit = limit
        self.embeddings_table_v = nn.Parameter(torch.randn(2 * limit + 2, head_dim))
        self.embeddings_table_h = nn.Parameter(torch.randn(2 * limit + 2, head_dim))

    def forward(self, grid, class_token):
        """(N, N, head_dim)."""
        vertical, horizontal = pair_rows(tuple(grid), class_token, self.limit)
        return self.embeddings_table_v[vertical] + self.embeddings_table_h[horizontal]


class PlainAttention(nn.Module):
    def __init__(self, dim, heads, head_dim, qkv_bias, limit):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=qkv_bias)
        self.proj = nn.Linear(heads * head_dim, dim)
        self.rel_pos_embed_k = PlainRelativePosition(head_dim, limit) if limit else None
        self.rel_pos_embed_v = PlainRelativePosition(head_dim, limit) if limit else None

    def forward(self, x, grid, class_token):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        heads = []
        for i in range(self.heads):
            one = slice(i * self.head_dim, (i + 1) * self.head_dim)
            heads.append(self.one_head(q[..., one], k[..., one], v[..., one], grid, class_token))
        return self.proj(torch.cat(heads, dim=-1))

    def one_head(self, q, k, v, grid, class_token):
        logits = q @ k.transpose(1, 2)
        if self.rel_pos_embed_k is not None:
            logits = logits + torch.einsum(
                'bid,ijd->bij', q, self.rel_pos_embed_k(grid, class_token)
            )
        attention = (logits / math.sqrt(self.head_dim)).softmax(dim=-1)
        out = attention @ v
        if self.rel_pos_embed_v is not None:
            table = self.rel_pos_embed_v(grid, class_token)
            out = out + torch.einsum('bij,ijd->bid', attention, table)
        return out


class PlainMLP(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class PlainBlock(nn.Module):
    def __init__(self, dim, heads, hidden, head_dim, qkv_bias, limit, norm_eps):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = PlainAttention(dim, heads, head_dim, qkv_bias, limit)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = PlainMLP(dim, hidden)

    def forward(self, x, grid, class_token, window=0):
        y = self.norm1(x)
        if window:
            y = self.attend_in_windows(y, grid, window)
        else:
            y = self.attn(y, grid, class_token)
        x = x + y
        return x + self.mlp(self.norm2(x))

    def attend_in_windows(self, x, grid, window):
        """One window after another; what lies below or right of the map are tokens of zeros."""
        tokens, zeros = list(x.unbind(1)), torch.zeros_like(x[:, 0])
        for top in range(0, grid[0], window):
            for left in range(0, grid[1], window):
                places = [
                    row * grid[1] + column if row < grid[0] and column < grid[1] else None
                    for row in range(top, top + window)
                    for column in range(left, left + window)
                ]
                inside = [zeros if place is None else x[:, place] for place in places]
                out = self.attn(torch.stack(inside, dim=1), (window, window), False)
                for i, place in enumerate(places):
                    if place is not None:
                        tokens[place] = out[:, i]
        return torch.stack(tokens, dim=1)


def convolutions(kind, dim):
    """(side, inputs, outputs) of each convolution of a propagation, as ViTDet names them."""
    half = dim // 2
    return dict(
        none=[],
        naive=[(3, dim, dim)],
        basic=[(3, dim, dim), (3, dim, dim)],
        bottleneck=[(1, dim, half), (3, half, half), (1, half, dim)],
    )[kind]


class PlainPropagation(nn.Module):
    """Convolutions around which a shortcut leads."""

    def __init__(self, kind, dim, norm_eps):
        super().__init__()
        sizes = convolutions(kind, dim)
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, side, padding=(side - 1) // 2, bias=False)
            for side, inputs, outputs in sizes
        )
        self.norms = nn.ModuleList(nn.LayerNorm(outputs, norm_eps) for _, _, outputs in sizes)

    def forward(self, maps):
        """(B, C, H, W); a norm is over the channels of a place, written out here."""
        y = maps
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = conv(F.gelu(y) if i else y)
            centred = y - y.mean(dim=1, keepdim=True)
            y = centred / ((centred**2).mean(dim=1, keepdim=True) + norm.eps).sqrt()
            y = y * norm.weight[:, None, None] + norm.bias[:, None, None]
        return maps + y


def attends_everywhere(block, depth):
    """Whether a block of a model with windows is one of the four that have none.

    They are the ones that complete a quarter of the depth.
    """
    done, before = Fraction(block + 1, depth), Fraction(block, depth)
    return any(before < Fraction(quarter, 4) <= done for quarter in (1, 2, 3, 4))


class PlainViT(nn.Module):
    """One architecture, nothing elastic in it.

    Args:
        spec: a SubnetSpec of one stage.
        img_size: (height, width) that positions are stored for.
        window: side in patches of the windows that attention keeps to, without the class token,
            but in four blocks; 0 for none.
        global_attention: whether these four attend everywhere.
        propagation: kind of the convolutions behind these four, or 'none'.
    """

    def __init__(
        self,
        spec,
        img_size,
        patch_size,
        head_dim,
        in_channels=3,
        qkv_bias=True,
        absolute_position=True,
        max_relative_position=14,
        class_token=True,
        window=0,
        norm_eps=1e-6,
        global_attention=True,
        propagation='none',
    ):
        super().__init__()
        (stage,) = spec.stages
        dim = stage.embed_dim
        self.patch_size, self.window = patch_size, window
        self.grid = tuple(math.ceil(side / patch_size) for side in img_size)
        self.class_token = class_token and not window
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(in_channels, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim)) if class_token else None
        tokens = self.grid[0] * self.grid[1] + (1 if class_token else 0)
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, dim)) if absolute_position else None
        self.blocks = nn.ModuleList(
            PlainBlock(
                dim,
                block.num_heads,
                int(dim * block.mlp_ratio),
                head_dim,
                qkv_bias,
                max_relative_position,
                norm_eps,
            )
            for block in stage.blocks
        )
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.global_attention, self.propagations = global_attention, nn.ModuleDict()
        if propagation != 'none':
            places = [i for i in range(spec.depth) if attends_everywhere(i, spec.depth)]
            self.propagations[propagation] = nn.ModuleList(
                PlainPropagation(propagation, dim, norm_eps) for _ in places
            )

    def forward(self, images):
        """Tokens (B, N, dim) after each block, the last ones normalised, and the grid."""
        height, width = images.shape[-2:]
        down, across = (math.ceil(side / self.patch_size) for side in (height, width))
        canvas = images.new_zeros(
            *images.shape[:2], down * self.patch_size, across * self.patch_size
        )
        canvas[..., :height, :width] = images
        x = self.patch_embed.proj(canvas)
        x = x.reshape(*x.shape[:2], down * across).transpose(1, 2)
        if self.class_token:
            x = torch.cat([self.cls_token.repeat(len(x), 1, 1), x], dim=1)
        if self.pos_embed is not None:
            x = x + self.positions((down, across))
        tokens, behind = [], [each for group in self.propagations.values() for each in group]
        for i, block in enumerate(self.blocks):
            is_place = attends_everywhere(i, len(self.blocks))
            window = 0 if is_place and self.global_attention else self.window
            x = block(x, (down, across), self.class_token, window)
            if is_place and behind:
                special, patches = x[:, : -down * across], x[:, -down * across :]
                maps = patches.transpose(1, 2).reshape(len(x), -1, down, across)
                maps = behind.pop(0)(maps)
                x = torch.cat([special, maps.flatten(2).transpose(1, 2)], dim=1)
            tokens.append(x)
        tokens[-1] = self.norm(x)
        return tokens, (down, across)

    def positions(self, grid):
        first = self.pos_embed.shape[1] - self.grid[0] * self.grid[1]
        special, patches = self.pos_embed[:, :first], self.pos_embed[:, first:]
        if not self.class_token:
            special = special[:, :0]
        if grid == self.grid:
            return torch.cat([special, patches], dim=1)
        patches = patches.reshape(1, *self.grid, -1).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, grid, mode='bicubic', align_corners=False)
        patches = patches.permute(0, 2, 3, 1).reshape(1, grid[0] * grid[1], -1)
        return torch.cat([special, patches], dim=1)

    def features(self, images, out_type, block=-1):
        """What a backbone returns for one block: 'cls_token', 'avg_featmap' or 'featmap'."""
        tokens, grid = self(images)
        return as_features(tokens[block], grid, self.class_token, out_type)


def as_features(tokens, grid, class_token, out_type):
    """Tokens (B, N, dim) as (B, dim) or (B, dim, h, w)."""
    if out_type == 'cls_token':
        return tokens[:, 0]
    patches = tokens[:, 1:] if class_token else tokens
    if out_type == 'avg_featmap':
        return patches.mean(dim=1)
    return patches.reshape(len(patches), *grid, -1).permute(0, 3, 1, 2)


def slice_supernet(state, spec, sharing, task, head_dim, leaves=None):
    """The state dict of the plain model of one subnet with one task's weights; see ``Slicer``."""
    (stage,) = spec.stages
    dim, slicer = stage.embed_dim, Slicer(state, sharing, task, leaves)
    slicer.wholly_shared('patch_embed.proj.weight', dim)
    slicer.wholly_shared('patch_embed.proj.bias', dim)
    slicer.wholly_shared('cls_token', None, None, dim)
    slicer.wholly_shared('pos_embed', None, None, dim)
    for i, block in enumerate(stage.blocks):
        slicer.block(f'blocks.{i}', block, dim, head_dim)
        for table in ('k', 'v'):
            for axis in ('v', 'h'):
                name = f'blocks.{i}.attn.rel_pos_embed_{table}.embeddings_table_{axis}'
                slicer.wholly_shared(name)
    for kind in ('naive', 'basic', 'bottleneck'):
        places = [i for i in range(spec.depth) if attends_everywhere(i, spec.depth)]
        for i in range(len(places)):
            for j, (_, inputs, outputs) in enumerate(convolutions(kind, dim)):
                slicer.own(f'propagations.{kind}.{i}.convs.{j}.weight', outputs, inputs)
                for leaf in ('weight', 'bias'):
                    slicer.own(f'propagations.{kind}.{i}.norms.{j}.{leaf}', outputs)
    slicer.wholly_shared('norm.weight', dim)
    slicer.wholly_shared('norm.bias', dim)
    return slicer.out


def plain_of(vit, spec, task, parameters):
    """The plain model of a subnet, without weights, and its state dict.

    Args:
        parameters: those of the supernet by name, or copies of them.
    """
    settings = dict(
        window=vit.window_size,
        global_attention=vit.global_attention,
        propagation=vit.propagation,
    )
    settings = {k: v[task] if isinstance(v, dict) else v for k, v in settings.items()}
    plain = PlainViT(spec, **vars(vit.shape), **settings, norm_eps=vit.norm.eps)
    state = slice_supernet(parameters, spec, vit.sharing, task, vit.shape.head_dim)
    assert set(state) == set(plain.state_dict())
    return plain.to(next(iter(parameters.values())).dtype), state
