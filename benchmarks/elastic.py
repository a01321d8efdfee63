"""A subnet inside the supernet against a plain model of its shapes.

    python benchmarks/elastic.py [--cases ViT ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards at 224 x 224, everything shared. The plain model
is the same class built for the one architecture: none of its weights is sliced.
"""

from __future__ import annotations

import functools
import random

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step
from torch import nn

from mdl_nas_mm.families import ElasticSwin, ElasticSwinUNet, ElasticViT

# Class, space and images.
CASES = {
    'ViT': (ElasticViT, 'autoformer-s', 4),
    'Swin': (ElasticSwin, 'mdl-nas-t', 4),
    'Swin with decoders': (ElasticSwinUNet, 'autotaskformer-s', 1),
}


def build(family: str) -> tuple[nn.Module, nn.Module]:
    """The supernet, whose architecture outside of ``activate`` is a random one, and the plain."""
    backbone_class, space, _ = CASES[family]
    torch.manual_seed(0)
    supernet = backbone_class(space=space)
    supernet.arch = supernet.space.sample(random.Random(0))
    plain = backbone_class(arch=supernet.arch.to_dict())
    return supernet, plain


def main() -> None:
    args = arguments(__doc__, cases=tuple(CASES))
    every = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    pairs = {family: dict(zip(('subnet', 'plain'), build(family))) for family in args.cases}

    def measure() -> dict[str, dict[str, float]]:
        found = {}
        for family, models in pairs.items():
            images = every[: CASES[family][2]]
            steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
            forwards = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
            found[family] = dict(
                step=ratios(medians(steps, args.rounds), 'plain')['subnet'],
                forward=ratios(medians(forwards, args.rounds), 'plain')['subnet'],
            )
        return found

    report(
        args,
        dict(seed=0, subnet_over_plain=each_thread_count(measure, args.threads)),
    )


if __name__ == '__main__':
    main()
