"""The sharing policies against everything shared.

    python benchmarks/sharing.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) of a random subnet of AutoFormer-S's space with share ratios,
four images of 224 x 224.
"""

from __future__ import annotations

import functools
import random

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.vit.spaces import SPACES

POLICIES = {
    'AllShared': 'AllShared',
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask, ratio': dict(type='Mask', threshold='ratio'),
}
SPACE = dict(SPACES['autoformer-s'], share_ratio=(0.3, 0.5, 0.7))

BATCH = 4


def build(policy: str) -> ElasticViT:
    torch.manual_seed(0)
    supernet = ElasticViT(SPACE, POLICIES[policy], tasks=('a', 'b'), task='a')
    supernet.arch = supernet.space.sample(random.Random(0))
    return supernet


def main() -> None:
    args = arguments(__doc__)
    supernets = {policy: build(policy) for policy in POLICIES}
    images = torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    steps = {k: functools.partial(training_step, m, images) for k, m in supernets.items()}

    def measure() -> dict[str, float]:
        return ratios(medians(steps, args.rounds), 'AllShared')

    measured = each_thread_count(measure, args.threads)
    report(args, dict(seed=0, batch=BATCH, step_over_all_shared=measured))


if __name__ == '__main__':
    main()
