"""The sharing policies against everything shared, for the same subnet.

    python benchmarks/sharing.py [--rounds N] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) of a random subnet of AutoFormer-S's space with share ratios
at 224 x 224, by batch size.
"""

from __future__ import annotations

import argparse
import functools
import random

import torch
from measuring import each_thread_count, medians, ratios, report, training_step

from mdl_nas_mm.elastic import ElasticViT
from mdl_nas_mm.spec.published import SPACES

POLICIES = {
    'AllShared': 'AllShared',
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask, ratio': dict(type='Mask', threshold='ratio'),
}
SPACE = dict(SPACES['autoformer-s'], share_ratio=(0.3, 0.5, 0.7))


def build(policy: str) -> ElasticViT:
    torch.manual_seed(0)
    supernet = ElasticViT(SPACE, POLICIES[policy], tasks=('a', 'b'), task='a')
    supernet.arch = supernet.space.sample(random.Random(0))
    return supernet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--batches', type=int, nargs='+', default=[4, 16])
    parser.add_argument('--write', help='JSON file for the result')
    args = parser.parse_args()
    supernets = {policy: build(policy) for policy in POLICIES}

    def measure() -> dict[str, dict[str, float]]:
        found = {}
        for batch in args.batches:
            generator = torch.Generator().manual_seed(0)
            images = torch.randn(batch, 3, 224, 224, generator=generator)
            steps = {k: functools.partial(training_step, m, images) for k, m in supernets.items()}
            found[f'batch {batch}'] = ratios(medians(steps, args.rounds), 'AllShared')
        return found

    report(
        f'python benchmarks/sharing.py --rounds {args.rounds} --batches '
        + ' '.join(map(str, args.batches)),
        dict(step_over_all_shared=each_thread_count(measure)),
        args.write,
    )


if __name__ == '__main__':
    main()
