"""Four tasks that take over what was computed already against four separate models.

    python benchmarks/computation_sharing.py [--sizes S B] [--threads N ...] [--write FILE]

Backbones of AutoFormer-S's size (its largest architecture) and of ViT-B/16, images of 224 pixels,
one at a time, with a small convolutional head a task. Weights are random, so that what differs is
given: each of three sub-tasks differs from the base in a tenth of the weights of the second half
of the blocks. ``image`` is one image: exactly, and with 40 % of the tokens of these blocks.
``still`` is a video in which a square of 80 pixels moves (13 % of the picture), ``moving`` one that
changes everywhere, both with a threshold of 0.1 between frames; ``tasks`` shares nothing between
frames, ``both, by times`` chooses by measured times. ``faster`` is how many times as fast as the
separate models, ``executed`` the part of their multiply-adds, ``state_mebibytes`` what a frame
leaves to the next one.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Sequence

import torch
from measuring import each_thread_count, medians, parser, report
from torch import Tensor, nn

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.vit.spaces import SPACES
from mdl_nas_mm.methods.computation_sharing import linear_layers
from mdl_nas_mm.methods.computation_sharing.running import (
    SharedComputation,
    SharingSettings,
    totals,
)

SIDE, FRAMES, TOKENS, ACTIVE, THRESHOLD = 224, 8, 197, 0.4, 0.1
LARGEST = {key: max(value) for key, value in SPACES['autoformer-s'].items()}
SIZES = dict(
    S=dict(space=dict(LARGEST, share_ratio=1.0)),
    B=dict(
        space=dict(embed_dim=768, depth=12, num_heads=12, mlp_ratio=4),
        max_relative_position=0,
    ),
)
TASKS = ('base', 'first', 'second', 'third')


def sub_task(base: ElasticViT, seed: int) -> ElasticViT:
    """Differs in a tenth of the weights of the second half of the blocks."""
    generator, sub = torch.Generator().manual_seed(seed), copy.deepcopy(base)
    layers = list(linear_layers(sub).values())
    for layer in layers[len(layers) // 2 :]:
        weight = layer.weight
        change = torch.randn(weight.shape, generator=generator) * 0.1 * weight.std()
        weight.data += change * (torch.rand(weight.shape, generator=generator) < 0.1)
    return sub


def build(size: str) -> tuple[dict[str, ElasticViT], dict[str, nn.Module]]:
    """Backbones and heads of the tasks."""
    torch.manual_seed(0)
    base = ElasticViT(**SIZES[size], img_size=SIDE, out_type='featmap').eval()
    subs = {task: sub_task(base, seed) for seed, task in enumerate(TASKS[1:])}
    width = base.out_channels
    heads = {
        task: nn.Sequential(nn.Conv2d(width, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 13, 1))
        for task in TASKS
    }
    return dict(base=base, **subs), heads


def videos() -> dict[str, list[Tensor]]:
    """Frames of both kinds; the last of them is as far from the first as neighbours are."""
    generator = torch.Generator().manual_seed(0)
    noise = lambda *size: torch.randn(1, 3, *size, generator=generator)  # noqa: E731
    still, background = [], noise(SIDE, SIDE)
    for t in range(FRAMES):
        frame, x = background.clone(), 16 * t
        frame[:, :, 64:144, x : x + 80] = noise(80, 80)
        still.append(frame)
    return dict(still=still, moving=[noise(SIDE, SIDE) for _ in range(FRAMES)])


class Runner:
    """Frame after frame through one model and its heads."""

    def __init__(
        self, model: SharedComputation, heads: dict[str, nn.Module], masks: dict | None = None
    ) -> None:
        self.model, self.heads, self.masks, self.state = model, heads, masks, None

    def __call__(self, frame: Tensor) -> dict[str, Tensor]:
        state = self.state if self.model.settings.shares_frames else None
        features, self.state = self.model(frame, state, self.masks)
        return {task: self.heads[task](features[task][0]) for task in TASKS}

    def facts(self) -> dict[str, float]:
        """Of the last frame."""
        assert self.state is not None
        work = totals(self.state.work)
        size = round(self.state.bytes / 2**20, 1)
        return dict(executed=round(work.executed / work.whole, 3), state_mebibytes=size)


def some_tokens(model: SharedComputation) -> dict[str, dict[str, Tensor]]:
    """The same 40 % of the tokens in all parts of a sub-task."""
    generator, masks = torch.Generator().manual_seed(0), {}
    names = [n for n in linear_layers(model.backbone('base')) if not n.endswith('fc2')]
    for task in TASKS[1:]:
        mask = torch.rand(TOKENS, generator=generator) < ACTIVE
        masks[task] = dict.fromkeys(names, mask)
    return masks


def compare(
    cases: dict[str, Callable[[Tensor], object]], frames: Sequence[Tensor], rounds: int
) -> dict[str, float]:
    """How many times as fast as ``separate`` each is, on one frame after the other."""

    def steps(run: Callable[[Tensor], object]) -> Callable[[], object]:
        following = itertools.cycle(frames)
        # The first frame of a video, and what is prepared for a size, are not in it.
        run(next(following))
        return lambda: run(next(following))

    seconds = medians({name: steps(run) for name, run in cases.items()}, rounds)
    return {name: round(seconds['separate'] / value, 2) for name, value in seconds.items()}


def measure(size: str, rounds: int) -> dict[str, object]:
    """All comparisons of one size."""
    backbones, heads = build(size)

    def separate(frame: Tensor) -> object:
        return [heads[task](backbones[task](frame)[0]) for task in TASKS]

    def runner(reuse: str, masks: bool = False, **settings: object) -> Runner:
        model = SharedComputation('base', backbones, SharingSettings(reuse, **settings))
        return Runner(model, heads, some_tokens(model) if masks else None)

    fast = dict(threshold=THRESHOLD, attention='queries')
    found, clips = {}, videos()
    image = dict(exact=runner('tasks'), tokens=runner('tasks', masks=True, attention='queries'))
    cases = {'image': (image, clips['moving'][:1])}
    for kind, frames in clips.items():
        runners = dict(tasks=runner('tasks'), frames=runner('frames', **fast))
        runners['both'] = runner('both', **fast)
        runners['both, by times'] = runner('both', cost='times', **fast)
        cases[kind] = (runners, frames)
    for kind, (runners, frames) in cases.items():
        times = compare(dict(separate=separate, **runners), frames, rounds)
        facts = {name: dict(faster=times[name], **each.facts()) for name, each in runners.items()}
        found[kind] = facts
    return found


@torch.inference_mode()
def main() -> None:
    options = parser(__doc__)
    options.add_argument('--rounds', type=int, default=7)
    options.add_argument('--threads', type=int, nargs='+', default=sorted({1, os.cpu_count()}))
    options.add_argument('--sizes', nargs='+', choices=SIZES, default=list(SIZES))
    args = options.parse_args()
    results = {
        size: each_thread_count(lambda size=size: measure(size, args.rounds), args.threads)
        for size in args.sizes
    }
    report(args, dict(seed=0, **results))


if __name__ == '__main__':
    main()
