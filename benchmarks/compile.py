"""``torch.compile`` of backbones with one architecture, ours and extracted ones.

    python benchmarks/compile.py [--threads N ...] [--write benchmarks/results/NAME.json]

Four images of 224 x 224, compiled by torch's own compiler over uncompiled: training steps (forward
and backward) and forwards of AutoFormer-S; forwards of what ``extract`` writes, upstream's classes
for DeiT-S and Swin-T, and ours for Swin-T and a Swin whose blocks differ. Needs a C++ compiler.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from extracted import build
from measuring import arguments, each_thread_count, medians, ratios, report, training_step
from torch import nn

from mdl_nas_mm.families import ElasticViT

ARCH = dict(embed_dim=384, depth=13, num_heads=6, mlp_ratio=3.5)
EXTRACTED = {'DeiT-S': ('stock',), 'Swin-T': ('stock', 'elastic'), 'searched Swin': ('elastic',)}


def compare(model: nn.Module, run: Callable[[nn.Module], object], rounds: int) -> dict[str, object]:
    """A compiled model's time over the uncompiled one's, and what the first call takes."""
    models = dict(uncompiled=model, compiled=torch.compile(model, dynamic=False))
    start = time.perf_counter()
    try:
        run(models['compiled'])
    except RuntimeError as error:
        return dict(fails=str(error).splitlines()[0])
    seconds = time.perf_counter() - start
    measured = medians({k: functools.partial(run, m) for k, m in models.items()}, rounds)
    return dict(
        compiled_over_not=ratios(measured, 'uncompiled')['compiled'],
        first_call_seconds=round(seconds, 1),
    )


def main() -> None:
    args = arguments(__doc__)
    torch.manual_seed(0)
    images, vit = torch.randn(4, 3, 224, 224), ElasticViT(arch=ARCH)
    extracted = {
        f'extracted {name}, {kind}': build(name)[kind]
        for name, kinds in EXTRACTED.items()
        for kind in kinds
    }

    @torch.no_grad()
    def forward(model: nn.Module) -> None:
        model(images)

    def measure() -> dict[str, dict[str, object]]:
        # Compiled code is for one number of threads.
        torch._dynamo.reset()
        step = functools.partial(training_step, images=images)
        found = {
            'AutoFormer-S, step': compare(vit, step, args.rounds),
            'AutoFormer-S': compare(vit, forward, args.rounds),
        }
        for name, model in extracted.items():
            found[name] = compare(model, forward, args.rounds)
        return found

    report(args, dict(seed=0, **each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
