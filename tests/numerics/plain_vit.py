"""A plain vision transformer in AutoFormer's shape, and how to slice one out of a supernet.

Written from the description of the architecture and of the sharing policies, and on purpose as
slow and as literal as they are: a table of all pairs of positions, a loop over output channels.
Nothing of the elastic layers, of the merging or of the deposit is used here.
"""

import functools
import math

import torch
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
    def __init__(self, dim, heads, hidden, head_dim, qkv_bias, limit):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = PlainAttention(dim, heads, head_dim, qkv_bias, limit)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = PlainMLP(dim, hidden)

    def forward(self, x, grid, class_token):
        x = x + self.attn(self.norm1(x), grid, class_token)
        return x + self.mlp(self.norm2(x))


class PlainViT(nn.Module):
    """One architecture, nothing elastic in it.

    Args:
        spec: a SubnetSpec of one stage.
        img_size: (height, width) that positions are stored for.
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
    ):
        super().__init__()
        (stage,) = spec.stages
        dim = stage.embed_dim
        self.patch_size = patch_size
        self.grid = tuple(math.ceil(side / patch_size) for side in img_size)
        self.class_token = class_token
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
            )
            for block in stage.blocks
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

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
        tokens = []
        for block in self.blocks:
            x = block(x, (down, across), self.class_token)
            tokens.append(x)
        tokens[-1] = self.norm(x)
        return tokens, (down, across)

    def positions(self, grid):
        if grid == self.grid:
            return self.pos_embed
        first = 1 if self.class_token else 0
        special, patches = self.pos_embed[:, :first], self.pos_embed[:, first:]
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


def shared_channels(policy, ratio, channels, scores=None):
    """For each of the first output channels of a layer, whether it is the shared one.

    Args:
        policy: has ``type`` and, for the mask, ``threshold``.
        scores: the layer's scores of these channels, for the mask.
    """
    if policy.type == 'AllShared':
        return [True] * channels
    if policy.type == 'AllSpecific':
        return [False] * channels
    count = math.floor(ratio * channels + 0.5)
    if policy.type == 'Sequential':
        return [j < count for j in range(channels)]
    if policy.threshold == 'score':
        return [score >= ratio for score in scores.tolist()]
    order = sorted(range(channels), key=lambda j: (-scores[j].item(), j))
    return [j in order[:count] for j in range(channels)]


def slice_supernet(state, spec, sharing, task, head_dim, leaves=None):
    """The state dict of the plain model of one subnet with one task's weights.

    Slices with autograd, so that gradients of the plain model reach the tensors of ``state``.

    Args:
        state: the supernet's state dict, or its parameters by name.
        sharing: kind of layer ('norm', 'attn', 'ffn') -> policy.
        leaves: where given, each layer under the mask policy becomes m * W + (1 - m) * W_spe with
            m a new leaf of zeros and ones, (groups, channels in use), put here by its prefix.
    """
    (stage,) = spec.stages
    dim, out = stage.embed_dim, {}

    def wholly_shared(name, *ends):
        if name in state:
            out[name] = state[name][tuple(slice(end) for end in ends)]

    def layer(prefix, role, ratio, channels, columns=None, groups=1):
        policy = sharing[role]
        masks = []
        for group in range(groups):
            scores = None
            if policy.type == 'Mask':
                stored = state[f'{prefix}.score']
                size = len(stored) // groups
                scores = stored[group * size : group * size + channels].detach()
            masks.append(shared_channels(policy, ratio, channels, scores))
        blend = None
        if leaves is not None and policy.type == 'Mask':
            blend = torch.tensor(masks, dtype=state[f'{prefix}.score'].dtype, requires_grad=True)
            leaves[prefix] = blend
        for leaf in ('weight', 'bias'):
            shared = state.get(f'{prefix}.{leaf}')
            own = state.get(f'{prefix}.specific.{task}.{leaf}')
            if shared is None and own is None:
                continue
            rows = []
            for group in range(groups):
                size = len(own if shared is None else shared) // groups
                for j in range(channels):
                    where = group * size + j
                    if leaf == 'weight' and columns is not None:
                        where = (where, slice(columns))
                    if blend is not None:
                        m = blend[group, j]
                        rows.append(m * shared[where] + (1 - m) * own[where])
                    else:
                        rows.append((shared if masks[group][j] else own)[where])
            out[f'{prefix}.{leaf}'] = torch.stack(rows)

    wholly_shared('patch_embed.proj.weight', dim)
    wholly_shared('patch_embed.proj.bias', dim)
    wholly_shared('cls_token', None, None, dim)
    wholly_shared('pos_embed', None, None, dim)
    for i, block in enumerate(stage.blocks):
        prefix, inner = f'blocks.{i}', block.num_heads * head_dim
        hidden = int(dim * block.mlp_ratio)
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        layer(f'{prefix}.norm1', 'norm', attn, dim)
        layer(f'{prefix}.attn.qkv', 'attn', attn, inner, dim, groups=3)
        layer(f'{prefix}.attn.proj', 'attn', attn, dim, inner)
        layer(f'{prefix}.norm2', 'norm', ffn, dim)
        layer(f'{prefix}.mlp.fc1', 'ffn', ffn, hidden, dim)
        layer(f'{prefix}.mlp.fc2', 'ffn', ffn, dim, hidden)
        for table in ('k', 'v'):
            for axis in ('v', 'h'):
                wholly_shared(f'{prefix}.attn.rel_pos_embed_{table}.embeddings_table_{axis}')
    wholly_shared('norm.weight', dim)
    wholly_shared('norm.bias', dim)
    return out
