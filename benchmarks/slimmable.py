"""A slim subnet inside the supernet against the plain model of its widths.

    python benchmarks/slimmable.py [--threads N ...] [--what ratios profile]
        [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards at 224 x 224, four images. The plain model is
the same class built for the one architecture: none of its weights is sliced. So is the plain
convolution of the single ones. The profile says by which operators a step of the subnet is longer.
"""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Callable, Mapping

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, training_step
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet
from mdl_nas_mm.families.slimmable.layers import SlimConv2d

CASES = {
    'ResNet-34': (ElasticResNet, dict(depth=34, out_indices=(3,)), 'ecmt-nyud'),
    'MobileNetV2': (ElasticMobileNetV2, {}, 'ecmt-pascal'),
}
BATCH, SIDE = 4, 224
# Kinds of operators by parts of their names; all others cut weights: views of them, whose gradients
# are copied into zeros, and kernels that are copied into one piece.
KINDS = dict(
    convolutions=('conv',), norms=('norm',), activations=('relu', 'hardtanh', 'clamp', 'threshold')
)


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


def longer_by(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Kind of operators -> by what per cent of a plain step they make one of the subnet longer."""
    spent = {name: {kind: [] for kind in (*KINDS, 'cuts')} for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            with profile(activities=[ProfilerActivity.CPU]) as found:
                step()
            now = dict.fromkeys(spent[name], 0.0)
            for event in found.key_averages():
                key = event.key.lower()
                kinds = (kind for kind, words in KINDS.items() if any(w in key for w in words))
                now[next(kinds, 'cuts')] += event.self_cpu_time_total
            for kind, seconds in now.items():
                spent[name][kind].append(seconds)
    middle = {n: {k: statistics.median(v) for k, v in own.items()} for n, own in spent.items()}
    whole = sum(middle['plain'].values()) / 100
    return {k: round((v - middle['plain'][k]) / whole, 1) for k, v in middle['subnet'].items()}


def main() -> None:
    args = arguments(__doc__, what=['ratios', 'profile'])
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pairs = {name: dict(zip(('subnet', 'plain'), build(name))) for name in CASES}

    def measure() -> dict[str, dict[str, float]]:
        found = {}
        if 'ratios' in args.what:
            found['one convolution'] = convolutions(args.rounds)
        for name, models in pairs.items():
            steps = {k: functools.partial(training_step, m, images) for k, m in models.items()}
            found[name] = {}
            if 'ratios' in args.what:
                runs = {k: functools.partial(torch.no_grad()(m), images) for k, m in models.items()}
                for what, cases in (('step', steps), ('forward', runs)):
                    seconds = medians(cases, args.rounds)
                    found[name][what] = ratios(seconds, 'plain')['subnet']
            if 'profile' in args.what:
                found[name]['per cent longer by'] = longer_by(steps, args.rounds)
        return found

    report(args, dict(seed=0, subnet_over_plain=each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
