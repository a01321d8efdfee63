"""ElasticSwinUNet with one architecture against the same cells of plain layers.

    python benchmarks/swin_unet.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards of all ten cells, two images of 224 x 224, with
windows of 7: stages of mmpretrain's Swin-T as the encoder, its blocks in the decoders.
``saved_mebibytes`` is what autograd keeps of a step at most, exact.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import torch
from measuring import (
    arguments,
    each_thread_count,
    medians,
    ratios,
    report,
    saved_mebibytes,
    training_step,
)
from mmpretrain.models import SwinTransformer
from mmpretrain.models.backbones.swin_transformer import SwinBlockSequence
from torch import Tensor, nn

from mdl_nas_mm.families import ElasticSwinUNet
from mdl_nas_mm.families.swin_unet import CELLS
from mdl_nas_mm.families.swin_unet.skeletons import level_of, predecessor

WIDTHS = {1: 96, 2: 192, 3: 384, 4: 768}
SIDES = {1: 56, 2: 28, 3: 14, 4: 7}
IMAGES = (2, 3, 224, 224)


class PlainTree(nn.Module):
    """The cells of plain layers, each run once."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SwinTransformer('tiny', 224, out_indices=(0, 1, 2, 3), drop_path_rate=0)
        self.cells, self.upsample, self.norms = (nn.ModuleDict() for _ in range(3))
        for cell in CELLS[4:]:
            width, before = WIDTHS[level_of(cell)], WIDTHS[level_of(cell) + 1]
            heads = width // 32
            key = cell.replace('.', '_')
            self.cells[key] = SwinBlockSequence(width, 2, heads, window_size=7)
            self.upsample[key] = nn.Linear(before, 4 * width, bias=False)
            self.norms[f'{key}_in'] = nn.LayerNorm(width)
            self.norms[f'{key}_out'] = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C, H, W) of all cells."""
        encoder = cast(Any, self.encoder)
        x, size = encoder.patch_embed(images)
        tokens, outputs = {}, []
        for i, stage in enumerate(encoder.stages):
            for block in stage.blocks:
                x = block(x, size)
            tokens[f'e{i + 1}'] = x
            outputs.append(_map(getattr(encoder, f'norm{i}')(x), size))
            if stage.downsample:
                x, size = stage.downsample(x, size)
        for cell in CELLS[4:]:
            key, side = cell.replace('.', '_'), SIDES[level_of(cell)]
            x = self.upsample[key](tokens[cast(str, predecessor(cell))])
            x = nn.functional.pixel_shuffle(_map(x, (side // 2, side // 2)), 2)
            x = self.norms[f'{key}_in'](x.flatten(2).transpose(1, 2))
            for block in cast(Any, self.cells[key]).blocks:
                x = block(x, (side, side))
            tokens[cell] = x
            outputs.append(_map(self.norms[f'{key}_out'](x), (side, side)))
        return outputs


def _map(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x.transpose(1, 2).unflatten(2, size).contiguous()


def main() -> None:
    args = arguments(__doc__)
    torch.manual_seed(0)
    models = dict(ours=ElasticSwinUNet('swin-unet-t'), plain=PlainTree())
    images = torch.randn(*IMAGES)
    sizes = [sum(p.numel() for p in model.parameters()) for model in models.values()]

    def measure() -> dict[str, float]:
        steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
        forwards = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
        return dict(
            step=ratios(medians(steps, args.rounds), 'plain')['ours'],
            forward=ratios(medians(forwards, args.rounds), 'plain')['ours'],
        )

    found = each_thread_count(measure, args.threads)
    kept = {
        name: round(saved_mebibytes(functools.partial(training_step, model, images), model), 1)
        for name, model in models.items()
    }
    report(args, dict(seed=0, parameters=sizes, ours_over_plain=found, saved_mebibytes=kept))


if __name__ == '__main__':
    main()
