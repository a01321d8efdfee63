"""``torch.compile`` of a backbone with one architecture.

    python benchmarks/compile.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards of AutoFormer-S at 224 x 224, four images,
compiled by torch's own compiler over uncompiled. Needs a C++ compiler.
"""

from __future__ import annotations

import functools
import time

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step

from mdl_nas_mm.elastic import ElasticViT

ARCH = dict(embed_dim=384, depth=13, num_heads=6, mlp_ratio=3.5)


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    torch.manual_seed(0)
    images, vit = torch.randn(4, 3, 224, 224), ElasticViT(arch=ARCH)

    def measure() -> dict[str, float]:
        # Compiled code is for one number of threads.
        torch._dynamo.reset()
        models = dict(uncompiled=vit, compiled=torch.compile(vit, dynamic=False))
        start = time.perf_counter()
        training_step(models['compiled'], images)
        seconds = time.perf_counter() - start
        steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
        forwards = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
        return dict(
            first_step_seconds=round(seconds, 1),
            step=ratios(medians(steps, args.rounds), 'uncompiled')['compiled'],
            forward=ratios(medians(forwards, args.rounds), 'uncompiled')['compiled'],
        )

    report('compile.py', args, dict(compiled_over_not=each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
