"""State dicts in published keys, with random weights, written from what their sources do."""

from __future__ import annotations

import torch


def randomize(module, seed=0):
    """Gives a module random parameters of a size that matters, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
            if parameter.dim() == 1 and name.endswith('weight'):
                parameter.add_(1)
    module.double().eval()
    return module


def autoformer_state(width, depth, heads, head_dim, hidden, tokens, limit, patch=4, seed=0):
    """What AutoFormer's ``supernet_transformer.py`` stores, under ``model``."""
    draw = _drawer(seed)
    state = {
        'cls_token': draw(1, 1, width),
        'pos_embed': draw(1, tokens, width),
        'patch_embed_super.proj.weight': draw(width, 3, patch, patch),
        'patch_embed_super.proj.bias': draw(width),
        'norm.weight': 1 + draw(width),
        'norm.bias': draw(width),
        'head.weight': draw(10, width),
        'head.bias': draw(10),
    }
    for i in range(depth):
        inner = heads * head_dim
        layers = dict(
            {f'attn.rel_pos_embed_{t}.embeddings_table_{a}': None for t in 'kv' for a in 'vh'},
            **{'attn.qkv': (3 * inner, width), 'attn.proj': (width, inner)},
            **{'fc1': (hidden, width), 'fc2': (width, hidden)},
        )
        for name, size in layers.items():
            if size is None:
                state[f'blocks.{i}.{name}'] = draw(2 * limit + 2, head_dim)
            else:
                state[f'blocks.{i}.{name}.weight'] = draw(*size)
                state[f'blocks.{i}.{name}.bias'] = draw(size[0])
        for name in ('attn_layer_norm', 'ffn_layer_norm'):
            state[f'blocks.{i}.{name}.weight'] = 1 + draw(width)
            state[f'blocks.{i}.{name}.bias'] = draw(width)
    return dict(model=state, epoch=500)


def autoformer_subnet(state, spec, head_dim):
    """The weights of ``PlainViT`` that AutoFormer's modules use for a subnet.

    ``qkv_super.py`` takes every third row of the first 3 * n for q, for k and for v, but the first
    3 * n biases as they are; all other layers take first rows and columns.
    """
    (stage,) = spec.stages
    dim, out = stage.embed_dim, {}
    for name in ('patch_embed_super.proj.weight', 'patch_embed_super.proj.bias'):
        out[name.replace('_super', '')] = state[name][:dim]
    for name in ('cls_token', 'pos_embed'):
        out[name] = state[name][..., :dim]
    for name in ('norm.weight', 'norm.bias'):
        out[name] = state[name][:dim]
    for i, block in enumerate(stage.blocks):
        inner, hidden = block.num_heads * head_dim, int(dim * block.mlp_ratio)
        theirs = {k.removeprefix(f'blocks.{i}.'): state[k] for k in state if f'blocks.{i}.' in k}
        ours = {}
        weight = theirs['attn.qkv.weight'][:, :dim]
        ours['attn.qkv.weight'] = torch.cat([weight[j : 3 * inner : 3] for j in range(3)])
        ours['attn.qkv.bias'] = theirs['attn.qkv.bias'][: 3 * inner]
        for name, (rows, columns) in {
            'attn.proj': (dim, inner),
            'fc1': (hidden, dim),
            'fc2': (dim, hidden),
        }.items():
            mine = name if '.' in name else f'mlp.{name}'
            ours[f'{mine}.weight'] = theirs[f'{name}.weight'][:rows, :columns]
            ours[f'{mine}.bias'] = theirs[f'{name}.bias'][:rows]
        for j, name in enumerate(('attn_layer_norm', 'ffn_layer_norm'), 1):
            for leaf in ('weight', 'bias'):
                ours[f'norm{j}.{leaf}'] = theirs[f'{name}.{leaf}'][:dim]
        tables = {name: table for name, table in theirs.items() if 'embeddings_table' in name}
        out.update({f'blocks.{i}.{name}': value for name, value in {**ours, **tables}.items()})
    return out


def official_swin_state(width, depths, heads, window, patch=4, seed=0):
    """What microsoft/Swin-Transformer's ``swin_transformer.py`` stores, under ``model``."""
    draw = _drawer(seed)
    state = {
        'patch_embed.proj.weight': draw(width, 3, patch, patch),
        'patch_embed.proj.bias': draw(width),
    }

    def norm(name, size):
        state[f'{name}.weight'], state[f'{name}.bias'] = 1 + draw(size), draw(size)

    def linear(name, rows, columns):
        state[f'{name}.weight'], state[f'{name}.bias'] = draw(rows, columns), draw(rows)

    norm('patch_embed.norm', width)
    for s, depth in enumerate(depths):
        dim = width << s
        for i in range(depth):
            block = f'layers.{s}.blocks.{i}'
            if i % 2:
                state[f'{block}.attn_mask'] = draw(4, window**2, window**2)
            norm(f'{block}.norm1', dim)
            table = draw((2 * window - 1) ** 2, heads[s])
            state[f'{block}.attn.relative_position_bias_table'] = table
            state[f'{block}.attn.relative_position_index'] = torch.zeros(window**2, window**2)
            linear(f'{block}.attn.qkv', 3 * dim, dim)
            linear(f'{block}.attn.proj', dim, dim)
            norm(f'{block}.norm2', dim)
            linear(f'{block}.mlp.fc1', 4 * dim, dim)
            linear(f'{block}.mlp.fc2', dim, 4 * dim)
        if s + 1 < len(depths):
            state[f'layers.{s}.downsample.reduction.weight'] = draw(2 * dim, 4 * dim)
            norm(f'layers.{s}.downsample.norm', 4 * dim)
    norm('norm', width << (len(depths) - 1))
    linear('head', 10, width << (len(depths) - 1))
    return dict(model=state)


def _drawer(seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(*size):
        return 0.3 * torch.randn(size, generator=generator, dtype=torch.float64)

    return draw
