"""What an architecture uses, marked element by element; the slow way, to check the ledger by."""

import numpy as np


class ByHand:
    """Marks every element of every parameter of a subnet as used or not, and shared or not."""

    def __init__(self, shape, sharing, scores):
        self.shape, self.sharing, self.scores = shape, sharing, scores

    def is_shared(self, layer, role, ratio, group, row, rows, max_rows):
        """Whether one output channel of a layer is shared."""
        policy = self.sharing[role] if role else None
        if policy is None or policy.type == 'AllShared':
            return True
        if policy.type == 'AllSpecific':
            return False
        if policy.type == 'Sequential':
            # A channel belongs to the prefix if its middle lies within it.
            return row + 0.5 <= ratio * rows
        scores = self.scores[layer][group * max_rows : (group + 1) * max_rows]
        if policy.threshold == 'score':
            return scores[row] >= np.float32(ratio)
        better = (scores[:rows] > scores[row]).sum() + (scores[:row] == scores[row]).sum()
        return better + 0.5 <= ratio * rows

    def add(self, name, role, ratio, rows, columns=(1, 1), groups=1):
        """``rows`` and ``columns`` are pairs (in use, stored)."""
        used = np.zeros((groups, rows[1], columns[1]), bool)
        shared = np.zeros_like(used)
        layer = name.rsplit('.', 1)[0]
        for group in range(groups):
            for row in range(rows[0]):
                used[group, row, : columns[0]] = True
                if self.is_shared(layer, role, ratio, group, row, *rows):
                    shared[group, row, : columns[0]] = True
        self.found[name] = used, shared

    def add_patches(self, dim):
        patch = self.shape.in_channels * self.shape.patch_size**2
        self.add('patch_embed.proj.weight', None, 1, dim, (patch, patch))
        self.add('patch_embed.proj.bias', None, 1, dim)

    def add_norm(self, name, dim):
        self.add(f'{name}.weight', None, 1, dim)
        self.add(f'{name}.bias', None, 1, dim)

    def add_block(self, name, block, largest, dim):
        """Everything but positions."""
        heads = (block.num_heads, largest.num_heads)
        inner = tuple(h * self.shape.head_dim for h in heads)
        ratio = (block.mlp_ratio, largest.mlp_ratio)
        hidden = tuple(int(d * r) for d, r in zip(dim, ratio, strict=True))
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        for key in ('weight', 'bias'):
            self.add(f'{name}.norm1.{key}', 'norm', attn, dim)
            self.add(f'{name}.norm2.{key}', 'norm', ffn, dim)
        self.add(f'{name}.attn.qkv.weight', 'attn', attn, inner, dim, 3)
        if self.shape.qkv_bias:
            self.add(f'{name}.attn.qkv.bias', 'attn', attn, inner, groups=3)
        self.add(f'{name}.attn.proj.weight', 'attn', attn, dim, inner)
        self.add(f'{name}.attn.proj.bias', 'attn', attn, dim)
        self.add(f'{name}.mlp.fc1.weight', 'ffn', ffn, hidden, dim)
        self.add(f'{name}.mlp.fc1.bias', 'ffn', ffn, hidden)
        self.add(f'{name}.mlp.fc2.weight', 'ffn', ffn, dim, hidden)
        self.add(f'{name}.mlp.fc2.bias', 'ffn', ffn, dim)

    def marks(self, spec, space):
        """State-dict key -> (used, shared), boolean and of the parameter's whole size."""
        self.found = {}
        self.add_all(spec, space)
        return self.found


class ViTByHand(ByHand):
    def add_all(self, spec, space):
        (stage,), (largest,), shape = spec.stages, space.largest().stages, self.shape
        dim = (stage.embed_dim, largest.embed_dim)
        self.add_patches(dim)
        tokens = (shape.img_size[0] // shape.patch_size) * (shape.img_size[1] // shape.patch_size)
        if shape.class_token:
            tokens += 1
            self.add('cls_token', None, 1, (1, 1), dim)
        if shape.absolute_position:
            self.add('pos_embed', None, 1, (tokens, tokens), dim)
        self.add_norm('norm', dim)
        for i, block in enumerate(stage.blocks):
            self.add_block(f'blocks.{i}', block, largest.blocks[i], dim)
            if shape.max_relative_position:
                rows, width = 2 * shape.max_relative_position + 2, shape.head_dim
                for key in ('k_v', 'k_h', 'v_v', 'v_h'):
                    table = f'rel_pos_embed_{key[0]}.embeddings_table_{key[2]}'
                    self.add(f'blocks.{i}.attn.{table}', None, 1, (rows, rows), (width, width))


class SwinByHand(ByHand):
    def add_all(self, spec, space):
        dims = [
            (stage.embed_dim, largest.embed_dim)
            for stage, largest in zip(spec.stages, space.largest().stages, strict=True)
        ]
        pairs = zip(spec.stages, space.largest().stages, strict=True)
        self.add_patches(dims[0])
        self.add_norm('patch_embed.norm', dims[0])
        for s, (stage, largest) in enumerate(pairs):
            offsets = (2 * self.shape.window_sizes[s] - 1) ** 2
            for i, block in enumerate(stage.blocks):
                name = f'stages.{s}.blocks.{i}'
                self.add_block(name, block, largest.blocks[i], dims[s])
                heads = (block.num_heads, largest.blocks[i].num_heads)
                table = f'{name}.attn.relative_position_bias_table'
                self.add(table, None, 1, (offsets, offsets), heads)
            if s + 1 < len(dims):
                merged = tuple(4 * d for d in dims[s])
                self.add_norm(f'stages.{s}.downsample.norm', merged)
                self.add(f'stages.{s}.downsample.reduction.weight', None, 1, dims[s + 1], merged)
            if s in self.shape.out_stages:
                self.add_norm(f'norm{s}', dims[s])


def mask_scores(space, shape, seed):
    """Layer -> scores, some of them equal, of every layer that can have a mask."""
    rng, scores, is_swin = np.random.default_rng(seed), {}, len(space.stages) > 1
    for s, stage in enumerate(space.largest().stages):
        dim = stage.embed_dim
        for i, block in enumerate(stage.blocks):
            channels = {
                'norm1': dim,
                'norm2': dim,
                'attn.qkv': 3 * block.num_heads * shape.head_dim,
                'attn.proj': dim,
                'mlp.fc1': int(dim * block.mlp_ratio),
                'mlp.fc2': dim,
            }
            name = f'stages.{s}.blocks.{i}' if is_swin else f'blocks.{i}'
            for layer, size in channels.items():
                scores[f'{name}.{layer}'] = rng.integers(0, 11, size).astype(np.float32) / 10
    return scores
