"""A slim subnet inside the supernet against the plain model of its widths.

    python benchmarks/slimmable.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards at 224 x 224, four images. The plain model is
the same class built for the one architecture: none of its weights is sliced. So is the plain
convolution of the single ones.
"""

from __future__ import annotations

import functools
import random

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step
from torch import nn

from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet
from mdl_nas_mm.families.slimmable.layers import SlimConv2d

CASES = {
    'ResNet-34': (ElasticResNet, dict(depth=34, out_indices=(3,)), 'ecmt-nyud'),
    'MobileNetV2': (ElasticMobileNetV2, {}, 'ecmt-pascal'),
}
BATCH, SIDE = 4, 224


def build(name: str) -> tuple[nn.Module, nn.Module]:
    """The supernet, whose architecture outside of ``activate`` is a random one, and the plain."""
    kind, settings, space = CASES[name]
    torch.manual_seed(0)
    supernet = kind(space=space, **settings)
    supernet.arch = supernet.space.sample(random.Random(0))
    return supernet, kind(arch=supernet.arch.to_dict(), **settings)


def convolutions(rounds: int) -> dict[str, float]:
    """One slimmable 3 x 3 convolution of each stage of a ResNet-34, to 80 % of its output and 70 %
    of its input channels, over the plain one of these."""
    found = {}
    for channels, side in ((64, 56), (128, 28), (256, 14), (512, 7)):
        out, inputs = int(0.8 * channels), int(0.7 * channels)
        x = torch.randn(BATCH, inputs, side, side, requires_grad=True)
        wide = SlimConv2d(channels, channels, 3, padding=1, bias=False)
        plain = SlimConv2d(inputs, out, 3, padding=1, bias=False)

        def step(conv: SlimConv2d, x: torch.Tensor = x, out: int = out) -> None:
            conv.zero_grad()
            conv(x, out).sum().backward()

        cases = dict(slim=functools.partial(step, wide), plain=functools.partial(step, plain))
        found[f'{channels} channels, {side} x {side}'] = ratios(
            medians(cases, 3 * rounds), 'plain'
        )['slim']
    return found


def main() -> None:
    args = arguments(__doc__)
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pairs = {name: dict(zip(('subnet', 'plain'), build(name))) for name in CASES}

    def measure() -> dict[str, dict[str, float]]:
        found = {'one convolution': convolutions(args.rounds)}
        for name, models in pairs.items():
            steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
            forwards = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
            found[name] = dict(
                step=ratios(medians(steps, args.rounds), 'plain')['subnet'],
                forward=ratios(medians(forwards, args.rounds), 'plain')['subnet'],
            )
        return found

    report(args, dict(seed=0, subnet_over_plain=each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
