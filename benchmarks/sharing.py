"""The sharing policies against everything shared, and evaluation against a plain model.

    python benchmarks/sharing.py [--threads N ...] [--write benchmarks/results/NAME.json]

A random subnet of AutoFormer-S's space with share ratios at 224 x 224: training steps (forward and
backward) over those with everything shared; images a second of an evaluation, which puts the
weights together in every batch, over those of a plain model that has just the subnet's weights.
"""

from __future__ import annotations

import functools
import random

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step

from mdl_nas_mm.elastic import ElasticViT
from mdl_nas_mm.spec.published import SPACES

POLICIES = {
    'AllShared': 'AllShared',
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask, ratio': dict(type='Mask', threshold='ratio'),
}
SPACE = dict(SPACES['autoformer-s'], share_ratio=(0.3, 0.5, 0.7))

# Images of a training and of an evaluation step.
BATCH, EVAL_BATCH = 4, 16


def build(policy: str) -> ElasticViT:
    torch.manual_seed(0)
    supernet = ElasticViT(SPACE, POLICIES[policy], tasks=('a', 'b'), task='a')
    supernet.arch = supernet.space.sample(random.Random(0))
    return supernet


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    supernets = {policy: build(policy) for policy in POLICIES}
    plain = ElasticViT(arch=supernets['AllShared'].arch.to_dict())
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(EVAL_BATCH, 3, 224, 224, generator=generator)

    def measure() -> dict[str, dict[str, float]]:
        few, many = images[:BATCH], images
        steps = {k: functools.partial(training_step, m, few) for k, m in supernets.items()}
        models = dict(supernets, plain=plain)
        forwards = {k: functools.partial(torch.no_grad()(m), many) for k, m in models.items()}
        evaluation = ratios(medians(forwards, args.rounds), 'plain')
        return dict(
            step_over_all_shared=ratios(medians(steps, args.rounds), 'AllShared'),
            evaluation_rate_over_plain={k: round(1 / v, 3) for k, v in evaluation.items()},
        )

    report(
        'sharing.py',
        args,
        dict(batch=BATCH, eval_batch=EVAL_BATCH, **each_thread_count(measure, args.threads)),
    )


if __name__ == '__main__':
    main()
