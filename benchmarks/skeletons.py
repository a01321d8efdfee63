"""What the losses of every task on every skeleton cost beside the pass through the cells.

    python benchmarks/skeletons.py [--threads N ...] [--write benchmarks/results/NAME.json]

Swin-T's cells with decoders, ``swin-unet-t``, all ten run once for two images of 128 pixels; FCN
heads of 64 channels on ten single-scale skeletons, SegFormer's on 24 multi-scale ones, for 2, 4
and 16 tasks of 13 classes. ``over_backbone`` is a training step over the same cells forward and
backward without heads, ``over_parts`` the step over cells and heads each timed by itself.
``left`` is how many skeletons of each task are still there: the last of them alone is the end of a
training with ``leave_out``. ``saved_mebibytes`` is the most that autograd keeps at once, exact, of
the cells alone, and of the step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import torch
from image_group import CLASSES, batches, stepper
from measuring import arguments, each_thread_count, medians, ratios, report, saved_mebibytes
from mmengine.config import ConfigDict

from mdl_nas_mm.families.swin_unet import SKELETONS
from mdl_nas_mm.methods.autotaskformer import AutoTaskFormerStep
from mdl_nas_mm.methods.autotaskformer.heads import weighing
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.utils.quiet import quiet

COUNTS, SIDE, BATCH = (2, 4, 16), 128, 2
HEADS = {
    'single-scale': dict(type='FCNHead', num_convs=1, concat_input=False),
    'multi-scale': dict(type='SegformerHead'),
}
LEFT = (5, 1)


def joint_model(skeletons: str, count: int) -> MultiTaskModel:
    """Tasks with a head for each skeleton, as their weights are initialised."""
    tasks = tuple(f'task{i}' for i in range(count))
    head = dict(
        HEADS[skeletons],
        channels=64,
        num_classes=CLASSES,
        norm_cfg=dict(type='GN', num_groups=8),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, size_divisor=1
        ),
        backbone=dict(type='mdl_nas_mm.BackboneSlot'),
        decode_head=dict(
            type='mdl_nas_mm.SkeletonHeads',
            in_channels=(96, 192, 384, 768),
            head=head,
            skeletons=skeletons,
        ),
        train_cfg=dict(),
        test_cfg=ConfigDict(mode='whole'),
    )
    backbone = dict(
        type='ElasticSwinUNet',
        space='swin-unet-t',
        sharing='AllShared',
        skeletons=skeletons,
        tasks=tasks,
    )
    torch.manual_seed(0)
    with task_scope('mdl_nas_mm'):
        return MODELS.build(
            dict(
                type='MultiTaskModel',
                backbone=backbone,
                tasks=dict.fromkeys(tasks, dict(scope='mmseg', model=model)),
            )
        ).train()


def step_of(model: MultiTaskModel, skeletons: str, left: int) -> Callable[[], None]:
    """A training step with the last ``left`` skeletons of each task."""
    spaces = dict.fromkeys(model.tasks, model.backbone.space)
    step = AutoTaskFormerStep(
        spaces, dict(steps=1000), freeze_rest=False, skeletons=skeletons, leave_out=1e-9
    )
    for of_task in step.skeletons.values():
        cast(Any, of_task).left[:-left] = False
    return stepper(model, as_group=True, update=False, step=step, count=BATCH, side=SIDE)


def parts(model: MultiTaskModel) -> dict[str, Callable[[], None]]:
    """The cells, and all heads, each by itself, forward and backward."""
    spec, first = model.backbone.space.largest(), next(iter(model.tasks))
    given = batches(BATCH, tuple(model.tasks), SIDE)
    data = {task: model.preprocess(task, batch) for task, batch in given.items()}
    images = data[first]['inputs']
    features = [x.detach().requires_grad_() for x in model.features(first, spec, images)]
    grads = [torch.randn_like(x) for x in features]

    def backbone() -> None:
        model.backbone.zero_grad()
        torch.autograd.backward(model.features(first, spec, images), grads)

    def heads() -> None:
        for task, network in model.tasks.items():
            network.zero_grad()
            names = network.decode_head.names
            with weighing(dict.fromkeys(names, torch.tensor(1 / len(names)))):
                losses = network.decode_head.loss(features, data[task]['data_samples'], {})
            network.parse_losses(losses)[0].backward()

    return dict(backbone=backbone, heads=heads)


def compare(skeletons: str, count: int, rounds: int) -> dict[str, Any]:
    """All measurements of one space of skeletons with so many tasks."""
    model, every = joint_model(skeletons, count), len(SKELETONS[skeletons])
    steps = {f'left {n}': step_of(model, skeletons, n) for n in (every, *LEFT)}
    cases = dict(parts(model), **steps)
    with quiet():
        seconds = medians(cases, rounds)
        kept = {name: round(saved_mebibytes(run, model), 1) for name, run in cases.items()}
    apart, whole = seconds['backbone'] + seconds['heads'], f'left {every}'
    found = dict(
        over_backbone=ratios(seconds, 'backbone'),
        over_parts=round(seconds[whole] / apart, 3),
        saved_mebibytes=kept,
    )
    print(f'{skeletons}, {count} tasks: {found}', file=sys.stderr, flush=True)
    return found


def main() -> None:
    args = arguments(__doc__)

    def measure() -> dict[str, Any]:
        return {
            f'{name}, {len(SKELETONS[name])}': {
                f'{count} tasks': compare(name, count, args.rounds) for count in COUNTS
            }
            for name in HEADS
        }

    report(args, dict(seed=0, batch=BATCH, side=SIDE, **each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
