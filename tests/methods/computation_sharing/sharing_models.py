"""Small base tasks, and sub-tasks that differ from them in some layers."""

import copy

import torch

from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.methods.computation_sharing import linear_layers


def vit(dtype=torch.float64, seed=0, **settings):
    """A ViT of three blocks on 4 x 4 patches, class token and relative positions included."""
    torch.manual_seed(seed)
    space = dict(embed_dim=16, depth=3, num_heads=2, mlp_ratio=2)
    settings = dict(img_size=32, patch_size=8, head_dim=8, out_type='featmap') | settings
    return ElasticViT(space=space, **settings).to(dtype).eval()


def swin(dtype=torch.float64, seed=0, **settings):
    """A Swin of two stages, shifted windows and padding included: 7 x 7 tokens in windows of 4."""
    torch.manual_seed(seed)
    space = [
        dict(embed_dim=8, depth=2, num_heads=1, mlp_ratio=2),
        dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2),
    ]
    settings = dict(window_size=4, head_dim=8, out_indices=(0, 1)) | settings
    settings = dict(pad_small_map=True) | settings
    return ElasticSwin(space=space, **settings).to(dtype).eval()


def sub_task(base, seed=1, first=1, density=0.3, size=0.3):
    """A copy with sparse differences of the linear layers of all blocks from ``first`` on."""
    generator = torch.Generator().manual_seed(seed)
    sub = copy.deepcopy(base)
    for i, layer in enumerate(linear_layers(sub).values()):
        weight = layer.weight
        drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype) * size
        kept = torch.rand(weight.shape, generator=generator) < density
        if i >= 4 * first:
            weight.data += drawn * kept * weight.std()
    return sub


def moving_patch(count, batch=2, size=(32, 32), seed=0):
    """Frames in which nothing but one patch changes, and wanders."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.rand(batch, 3, *size, generator=generator, dtype=torch.float64)
    frames = []
    for t in range(count):
        frame, x = frame.clone(), 4 * t % (size[1] - 8)
        frame[:, :, 8:16, x : x + 8] = torch.rand(batch, 3, 8, 8, generator=generator).double()
        frames.append(frame)
    return frames
