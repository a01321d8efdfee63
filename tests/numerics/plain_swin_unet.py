"""A plain Swin with decoders, and how to slice one out of a supernet.

Written from the description (AutoTaskFormer, Section 3.2), as slow and as literal as
``plain_swin``, whose windows it has: a dictionary of modules by the names of the cells.
"""

import torch
from numerics.plain_swin import PlainMerging, PlainSwinBlock
from numerics.slicing import Slicer
from torch import nn

ORDER = ['e1', 'e2', 'e3', 'e4', 'd2.1', 'd3.2', 'd3.1', 'd4.3', 'd4.2', 'd4.1']
BEFORE = {
    **{'e1': None, 'e2': 'e1', 'e3': 'e2', 'e4': 'e3', 'd2.1': 'e2'},
    **{'d3.2': 'e3', 'd3.1': 'd3.2', 'd4.3': 'e4', 'd4.2': 'd4.3', 'd4.1': 'd4.2'},
}
# Module of a cell in the supernet.
NAMES = {
    **{'e1': 'stages.0', 'e2': 'stages.1', 'e3': 'stages.2', 'e4': 'stages.3'},
    **{'d2.1': 'decoders.d2_1', 'd3.2': 'decoders.d3_2', 'd3.1': 'decoders.d3_1'},
    **{'d4.3': 'decoders.d4_3', 'd4.2': 'decoders.d4_2', 'd4.1': 'decoders.d4_1'},
}


class PlainExpanding(nn.Module):
    def __init__(self, dim, out_dim):
        super().__init__()
        self.expansion = nn.Linear(dim, 4 * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x, height, width):
        """Output channel c of the place (dy, dx) is channel 4 * c + 2 * dy + dx of the layer."""
        y = self.expansion(x)
        doubled = y.new_zeros(len(x), 2 * x.shape[1], 2 * x.shape[2], y.shape[-1] // 4)
        for dy in (0, 1):
            for dx in (0, 1):
                doubled[:, dy::2, dx::2] = y[..., 2 * dy + dx :: 4]
        return self.norm(doubled[:, :height, :width])


class PlainCellBlock(nn.Module):
    """A block on maps that its windows may be larger than: they are then the map."""

    def __init__(self, dim, block, index, head_dim, qkv_bias, post_norm):
        super().__init__()
        window = block.window_side
        self.shifted = index % 2 == 1
        whole = PlainSwinBlock(dim, block, head_dim, window, 0, qkv_bias)
        self.norm1, self.attn, self.norm2, self.mlp = (
            whole.norm1,
            whole.attn,
            whole.norm2,
            whole.mlp,
        )
        if post_norm:
            self.post_norm1, self.post_norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x):
        post = hasattr(self, 'post_norm1')
        x = x + self.attention(self.norm1(x))
        x = self.post_norm1(x) if post else x
        x = x + self.mlp(self.norm2(x))
        return self.post_norm2(x) if post else x

    def attention(self, x):
        attn, side = self.attn, min(x.shape[1:3])
        window = min(attn.window, side)
        shift = window // 2 if self.shifted and side > window else 0
        whole, table = attn.window, attn.relative_position_bias_table
        # The middle of the table, for a smaller window.
        middle = slice(whole - window, whole + window - 1)
        grid = table.unflatten(0, (2 * whole - 1, 2 * whole - 1))[middle, middle]
        attn.window = window
        del attn.relative_position_bias_table
        attn.relative_position_bias_table = grid.flatten(0, 1)
        try:
            return attn(x, shift)
        finally:
            attn.window = whole
            del attn.relative_position_bias_table
            attn.relative_position_bias_table = table


class PlainSwinUNet(nn.Module):
    """One architecture with the cells that it has, nothing elastic in it.

    Args:
        spec: a SubnetSpec, a stage for each cell.
        outputs: the cells that are returned.
    """

    def __init__(
        self,
        spec,
        outputs,
        patch_size,
        head_dim,
        in_channels,
        qkv_bias,
        post_norm,
        skip_connections,
        out_cells,
    ):
        super().__init__()
        self.patch_size, self.outputs = patch_size, outputs
        stages = {c: s for c, s in zip(ORDER, spec.stages, strict=True) if s.blocks}
        self.cells = list(stages)
        self.patch_embed = nn.Module()
        dims = {cell: stage.embed_dim for cell, stage in stages.items()}
        self.patch_embed.proj = nn.Conv2d(in_channels, dims['e1'], patch_size, patch_size)
        self.patch_embed.norm = nn.LayerNorm(dims['e1'])
        self.tree = nn.ModuleDict()
        for cell, stage in stages.items():
            module, before = nn.Module(), BEFORE[cell]
            module.blocks = nn.ModuleList(
                PlainCellBlock(dims[cell], block, i, head_dim, qkv_bias, post_norm)
                for i, block in enumerate(stage.blocks)
            )
            if before:
                entry = PlainMerging if cell[0] == 'e' else PlainExpanding
                module.entry = entry(dims[before], dims[cell])
            if cell[0] == 'd' and skip_connections:
                module.skip = nn.Linear(dims[f'e{cell[-1]}'], dims[cell], bias=False)
            if cell in out_cells:
                module.norm = nn.LayerNorm(dims[cell])
            self.tree[cell.replace('.', '_')] = module

    def forward(self, images):
        """Maps (B, dim, h, w), one a wanted cell."""
        patch = self.patch_size
        height, width = images.shape[-2:]
        down, across = -(-height // patch), -(-width // patch)
        canvas = images.new_zeros(*images.shape[:2], down * patch, across * patch)
        canvas[..., :height, :width] = images
        maps = {}
        for cell in self.cells:
            module, before = self.tree[cell.replace('.', '_')], BEFORE[cell]
            if before is None:
                x = self.patch_embed.proj(canvas).permute(0, 2, 3, 1)
                x = self.patch_embed.norm(x)
            elif cell[0] == 'e':
                x = module.entry(maps[before])
            else:
                beside = maps[f'e{cell[-1]}']
                x = module.entry(maps[before], *beside.shape[1:3])
                if hasattr(module, 'skip'):
                    x = x + module.skip(beside)
            for block in module.blocks:
                x = block(x)
            maps[cell] = x
        norms = {cell: self.tree[cell.replace('.', '_')] for cell in self.outputs}
        return [norms[cell].norm(maps[cell]).permute(0, 3, 1, 2) for cell in self.outputs]


def rings_to_grid(table, window):
    """A window's table row by row, of one whose rows go from the middle outwards."""
    offsets = range(-window + 1, window)
    places = [(dy, dx) for dy in offsets for dx in offsets]
    outwards = sorted(places, key=lambda place: (max(map(abs, place)), *place))
    return torch.stack([table[outwards.index(place)] for place in places])


def plain_tree_of(backbone, spec, task, parameters):
    """The plain model of a subnet, without weights, and its state dict.

    Args:
        parameters: those of the supernet by name, or copies of them.
    """
    shape = vars(backbone.shape)
    plain = PlainSwinUNet(spec, backbone.output_cells(task), **shape)
    slicer = Slicer(parameters, backbone.sharing, task)
    stages = dict(zip(ORDER, spec.stages, strict=True))
    out = {}

    def take(ours, theirs, *ends):
        slicer.wholly_shared(ours, *ends)
        out[theirs] = slicer.out.pop(ours)

    for leaf in ('proj.weight', 'proj.bias', 'norm.weight', 'norm.bias'):
        take(f'patch_embed.{leaf}', f'patch_embed.{leaf}', stages['e1'].embed_dim)
    for cell in plain.cells:
        dim, here, there = stages[cell].embed_dim, NAMES[cell], f'tree.{cell.replace(".", "_")}'
        before = BEFORE[cell]
        if before and cell[0] == 'e':
            source, four = f'{NAMES[before]}.downsample', 4 * stages[before].embed_dim
            for leaf in ('weight', 'bias'):
                take(f'{source}.norm.{leaf}', f'{there}.entry.norm.{leaf}', four)
            take(f'{source}.reduction.weight', f'{there}.entry.reduction.weight', dim, four)
        elif before:
            source, dim_before = f'{here}.upsample', stages[before].embed_dim
            for leaf in ('weight', 'bias'):
                take(f'{source}.norm.{leaf}', f'{there}.entry.norm.{leaf}', dim)
            ours, theirs = f'{source}.expansion.weight', f'{there}.entry.expansion.weight'
            take(ours, theirs, 4 * dim, dim_before)
            if backbone.shape.skip_connections:
                beside = stages[f'e{cell[-1]}'].embed_dim
                take(f'{here}.skip.weight', f'{there}.skip.weight', dim, beside)
        for i, block in enumerate(stages[cell].blocks):
            prefix, target = f'{here}.blocks.{i}', f'{there}.blocks.{i}'
            slicer.block(prefix, block, dim, backbone.shape.head_dim)
            slicer.layer(f'{prefix}.post_norm1', 'norm', block.attn_share_ratio, dim)
            slicer.layer(f'{prefix}.post_norm2', 'norm', block.ffn_share_ratio, dim)
            for key in [key for key in slicer.out if key.startswith(f'{prefix}.')]:
                out[target + key.removeprefix(prefix)] = slicer.out.pop(key)
            table = f'{target}.attn.relative_position_bias_table'
            rows = (2 * block.window_side - 1) ** 2
            take(f'{prefix}.attn.bias_by_ring', table, rows, block.num_heads)
            out[table] = rings_to_grid(out[table], block.window_side)
        if cell in backbone.shape.out_cells:
            norm = f'norm{int(cell[1]) - 1}' if cell[0] == 'e' else f'{here}.norm'
            for leaf in ('weight', 'bias'):
                take(f'{norm}.{leaf}', f'{there}.norm.{leaf}', dim)
    assert set(out) == set(plain.state_dict())
    return plain.to(next(iter(parameters.values())).dtype), out
