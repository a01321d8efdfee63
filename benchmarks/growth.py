"""How time and memory of a training step grow with image size, width and number of tasks.

    python benchmarks/growth.py [--rounds 5] [--write benchmarks/results/NAME.json] \
        [--plot docs/images/growth.png]

Image sizes and widths: forward and backward of single architectures, two images. Tasks: the demo's
joint step, its three tasks once, twice and four times over, against the sum of their own steps.
Processor seconds of one thread, in rounds of all points of a curve; memory is what a step takes at
most above the model's weights, in a process of its own.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping
from functools import partial

import torch
from measuring import medians, parser, peak_mebibytes, report, training_step
from sandwich import demo, sandwiches, stepper

BATCH = 2
SIZES = (112, 160, 224, 320)
WIDTHS = (192, 384, 576)
# AutoFormer-T's usual block; its smallest has 12 of them.
VIT = dict(embed_dim=192, depth=12, num_heads=3, mlp_ratio=3.5)
TRIO = ('cls', 'det', 'seg')
JOINT = 'joint step by tasks'


def backbone_step(family: str, arch: Mapping | str, size: int) -> Callable[[], None]:
    """A training step of a backbone of one architecture."""
    model = backbone(family, arch, size)
    images = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))
    return partial(training_step, model, images)


def backbone(family: str, arch: Mapping | str, size: int):
    from mdl_nas_mm import elastic

    torch.manual_seed(0)
    settings = dict(space=arch) if isinstance(arch, str) else dict(arch=arch)
    # Swin's last maps of the smallest images are smaller than a window.
    settings |= dict(img_size=size) if family == 'ElasticViT' else dict(pad_small_map=True)
    return getattr(elastic, family)(**settings)


def joint_step(tasks: tuple[str, ...]) -> Callable[[], None]:
    """A joint step of the demo's model for some tasks, with its update."""
    model, batches = demo(tasks)
    step, specs = stepper(model), sandwiches(model, tasks)
    return lambda: step(copy.deepcopy(batches), specs)


def backbone_points() -> dict[str, dict[str, tuple]]:
    """Curve -> point -> family, architecture and image size."""
    wide = {width: dict(VIT, embed_dim=width, num_heads=width // 64) for width in WIDTHS}
    return {
        'ElasticViT by image size': {str(size): ('ElasticViT', VIT, size) for size in SIZES},
        'ElasticSwin by image size': {str(s): ('ElasticSwin', 'swin-t', s) for s in SIZES},
        'ElasticViT by width': {str(w): ('ElasticViT', arch, 224) for w, arch in wide.items()},
    }


def task_points() -> dict[str, tuple[str, ...]]:
    """Point -> tasks: each of the three by itself, then 3, 6 and 12."""
    repeated = {
        str(3 * n): tuple(f'{task}_{i}' for i in range(n) for task in TRIO) for n in (1, 2, 4)
    }
    return {task: (task,) for task in TRIO} | repeated


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Curve -> point -> seconds and peak memory, and multiply-adds of a backbone."""
    curves = backbone_points()
    builders = {
        title: {name: partial(backbone_step, *point) for name, point in points.items()}
        for title, points in curves.items()
    }
    builders[JOINT] = {name: partial(joint_step, tasks) for name, tasks in task_points().items()}
    # First, while this process is small: the peak of a new one begins with that of its parent.
    found = {
        title: {
            name: dict(peak_mebibytes=round(peak_mebibytes(build))) for name, build in c.items()
        }
        for title, c in builders.items()
    }
    for title, points in found.items():
        seconds = medians({name: build() for name, build in builders[title].items()}, rounds)
        for name, point in points.items():
            point['seconds'] = round(seconds[name], 3)
    for title, points in curves.items():
        for name, (family, arch, size) in points.items():
            model = backbone(family, arch, size)
            macs = BATCH * model.flops(None, model.arch, (size, size))
            found[title][name]['forward_gigamacs'] = round(macs / 1e9, 2)
    joint = found[JOINT]
    joint['1'] = {
        key: round(statistics.mean(joint[task][key] for task in TRIO), 3)
        for key in ('seconds', 'peak_mebibytes')
    }
    for count in ('3', '6', '12'):
        alone = int(count) * joint['1']['seconds']
        joint[count]['over_alone'] = round(joint[count]['seconds'] / alone, 3)
    return found


def plot(curves: Mapping[str, Mapping[str, Mapping[str, float]]], file: str) -> None:
    """Time and memory of each curve, in a picture beside each other."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(3.4 * len(curves), 2.8))
    for axis, (title, points) in zip(axes, curves.items()):
        found = {int(name): point for name, point in points.items() if name.isdecimal()}
        found = dict(sorted(found.items()))
        (time,) = axis.plot(
            list(found), [p['seconds'] for p in found.values()], 'o-', label='seconds'
        )
        right = axis.twinx()
        (memory,) = right.plot(
            list(found), [p['peak_mebibytes'] for p in found.values()], 's--C1', label='MiB'
        )
        axis.set(title=title, xticks=list(found), ylim=(0, None))
        right.set_ylim(0, None)
        axis.legend(handles=[time, memory], loc='upper left', frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--rounds', type=int, default=5)
    options.add_argument('--plot', help='PNG file for the curves')
    args = options.parse_args()
    torch.set_num_threads(1)
    result = dict(
        seed=0,
        batch=BATCH,
        curves=measure(args.rounds),
    )
    report(args, result)
    if args.plot:
        plot(result['curves'], args.plot)


if __name__ == '__main__':
    main()
