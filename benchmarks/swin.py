"""ElasticSwin with one architecture against mmpretrain's SwinTransformer of the same shape.

    python benchmarks/swin.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards of Swin-T, all four maps: windows of 7 at
224 x 224, four images, and windows of 14 at 448 x 448, one image.
"""

from __future__ import annotations

import functools

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step
from mmpretrain.models import SwinTransformer
from torch import Tensor, nn

from mdl_nas_mm.families import ElasticSwin

# Window -> images (count, side).
CASES = {7: (4, 224), 14: (1, 448)}


def build(window: int) -> tuple[dict[str, nn.Module], Tensor]:
    """Both backbones, in training mode, and images."""
    torch.manual_seed(0)
    count, side = CASES[window]
    stages = (0, 1, 2, 3)
    theirs = SwinTransformer('tiny', side, window_size=window, out_indices=stages, drop_path_rate=0)
    ours = ElasticSwin('swin-t', window_size=window, out_indices=stages)
    return dict(ours=ours, mmpretrain=theirs), torch.randn(count, 3, side, side)


def main() -> None:
    args = arguments(__doc__)
    cases = {f'window {window}': build(window) for window in CASES}

    def measure() -> dict[str, dict[str, float]]:
        found = {}
        for name, (models, images) in cases.items():
            steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
            forwards = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
            found[name] = dict(
                step=ratios(medians(steps, args.rounds), 'mmpretrain')['ours'],
                forward=ratios(medians(forwards, args.rounds), 'mmpretrain')['ours'],
            )
        return found

    report(
        args,
        dict(seed=0, ours_over_mmpretrain=each_thread_count(measure, args.threads)),
    )


if __name__ == '__main__':
    main()
