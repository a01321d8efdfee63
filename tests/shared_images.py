"""Small dense tasks on the same images: models, batches with missing labels, and K passes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mdl_nas_mm.engine.assignment import RankAssignment
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.plan import StepPlan
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.data import part_of
from mdl_nas_mm.tasks.group_batch import GroupBatch

TASKS = ('seg', 'parts', 'edges')
WEIGHTS = dict(seg=1.0, parts=0.5, edges=3.0)
GROUP = 'rooms'
CLASSES = dict(seg=5, parts=3, edges=2)
SIDE, IMAGES = 16, 3
_RATIOS = dict(share_ratio=(0.3, 0.6))
BACKBONES = dict(
    ViT=dict(
        type='ElasticViT',
        space=dict(embed_dim=(16, 24), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), **_RATIOS),
        img_size=SIDE,
        patch_size=4,
        head_dim=8,
        max_relative_position=3,
        out_type='featmap',
        out_indices=(0, -1),
    ),
    Swin=dict(
        type='ElasticSwin',
        space=[
            dict(embed_dim=(8, 16), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), **_RATIOS),
            dict(embed_dim=(16, 24), depth=1, num_heads=(2, 3), mlp_ratio=2, **_RATIOS),
        ],
        head_dim=8,
        window_size=2,
        pad_small_map=True,
        out_indices=(0, 1),
    ),
)
# Upstream's, as they are.
UPSTREAM = dict(
    ResNet=dict(
        type='UpstreamBackbone',
        module=dict(
            type='mmseg.ResNet',
            depth=18,
            base_channels=4,
            stem_channels=4,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(0, 1),
            norm_cfg=dict(type='GN', num_groups=2),
        ),
    ),
)
WIDTHS = dict(ViT=24, Swin=24, ResNet=8)


def segmentor(classes: int, width: int = 24) -> dict:
    """An upstream model of one convolution on the last map."""
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, size_divisor=4
        ),
        backbone=dict(type='mdl_nas_mm.BackboneSlot'),
        decode_head=dict(
            type='FCNHead',
            in_channels=width,
            in_index=-1,
            channels=4,
            num_convs=1,
            kernel_size=1,
            concat_input=False,
            dropout_ratio=0.0,
            num_classes=classes,
            norm_cfg=None,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def model_config(backbone: str, sharing, tasks: Sequence[str] = TASKS) -> dict:
    """The config of a joint model."""
    return dict(
        type='MultiTaskModel',
        backbone=dict((BACKBONES | UPSTREAM)[backbone], sharing=sharing, tasks=tuple(tasks)),
        tasks={
            t: dict(scope='mmseg', model=segmentor(CLASSES.get(t, 4), WIDTHS[backbone]))
            for t in tasks
        },
    )


def build(config: Mapping, seed: int = 0) -> MultiTaskModel:
    """In float64; each part is drawn from a seed of its own."""
    torch.manual_seed(seed)
    with task_scope('mdl_nas_mm'):
        return MODELS.build(dict(config)).double().train()


def images_of(step: int, batch: int, count: int = IMAGES) -> list[torch.Tensor]:
    """Images (3, H, W) of 0 to 255."""
    generator = torch.Generator().manual_seed(100 * step + batch)
    return [torch.randint(256, (3, SIDE, SIDE), generator=generator) for _ in range(count)]


def sample(task: str, number: int) -> SegDataSample:
    """The label of an image, by its number."""
    generator = torch.Generator().manual_seed(1000 * number + CLASSES.get(task, 4))
    labels = torch.randint(CLASSES.get(task, 4), (1, SIDE, SIDE), generator=generator)
    shape = dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), pad_shape=(SIDE, SIDE))
    found = SegDataSample(metainfo=shape)
    found.gt_sem_seg = PixelData(data=labels)
    return found


def places_of(task: str, step: int, batch: int, missing: bool) -> tuple[int, ...]:
    """Which images of a batch have a task's label. In step 3 none has one of the last task."""
    if not missing or task == TASKS[0]:
        return tuple(range(IMAGES))
    if task == TASKS[-1] and step == 3:
        return ()
    rng = random.Random(f'{task} {step} {batch}')
    return tuple(place for place in range(IMAGES) if rng.random() < 0.5)


def own_batch(task: str, step: int, batch: int, places: Sequence[int]) -> dict | None:
    """What a task's own loader gives of some images of a batch."""
    images = images_of(step, batch)
    samples = [sample(task, 100 * step + 10 * batch + place) for place in places]
    return dict(inputs=[images[p] for p in places], data_samples=samples) if places else None


def group_batch(
    step: int, batch: int, missing: bool, part: int = 0, parts: int = 1, tasks=TASKS
) -> GroupBatch:
    """A part of a batch of all tasks, as an image group's loader gives it."""
    own = part_of(IMAGES, part, parts)
    every = range(IMAGES)[own]
    batches, places = {}, {}
    for task in tasks:
        found = [place for place in places_of(task, step, batch, missing) if place in every]
        batches[task] = own_batch(task, step, batch, found)
        places[task] = tuple(place - own.start for place in found)
    return GroupBatch(len(every), batches, places)


def specs_of(model: MultiTaskModel, step: int, count: int = 2) -> list[SubnetSpec]:
    """The subnets of a step."""
    rng = random.Random(step)
    return [model.backbone.space.sample(rng) for _ in range(count)]


def optimizer_of(model: MultiTaskModel) -> torch.optim.Optimizer:
    """Plain enough that no difference of rounding is enlarged."""
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)


def k_passes(
    model: MultiTaskModel,
    optimizer: torch.optim.Optimizer,
    step: int,
    missing: bool,
    batches: int = 1,
    tasks: Sequence[str] = TASKS,
) -> dict[str, float]:
    """A step without a group: each task's images through the whole model, in plain torch.

    Returns:
        Task -> its mean loss over its labelled images, of the last subnet.
    """
    optimizer.zero_grad()
    specs, losses = specs_of(model, step), {}
    for task in tasks:
        places = [places_of(task, step, batch, missing) for batch in range(batches)]
        total = sum(map(len, places))
        for spec in specs:
            mean = 0.0
            for batch, own in enumerate(places):
                if own:
                    data = model.preprocess(task, own_batch(task, step, batch, own))
                    loss, _ = model.loss(task, spec, data)
                    share = len(own) / total
                    (WEIGHTS[task] * loss * share / len(tasks) / len(specs)).backward()
                    mean += loss.item() * share
            losses |= {task: mean} if total else {}
    for name, parameter in model.named_parameters():
        is_own = name.startswith('tasks.') or '.specific.' in name
        if is_own and parameter.grad is not None:
            parameter.grad *= len(tasks)
    optimizer.step()
    return losses


def one_pass(
    model: MultiTaskModel,
    optimizer: torch.optim.Optimizer,
    step: int,
    plan: StepPlan,
    batches: Mapping,
    distill: Mapping | None = None,
    wrapper: type[OptimWrapper] = OptimWrapper,
    **others,
) -> Passes:
    """The package's step on the same batches."""
    specs = dict.fromkeys(plan.shares, specs_of(model, step))
    passes = Passes(model, wrapper(optimizer), batches, plan, step, **others)
    spaces = dict.fromkeys(plan.shares, model.backbone.space)
    train_step(JointStep(spaces, freeze_rest=False, distill=distill), passes, specs)
    return passes


def plan_of(pass_groups: Sequence[tuple[str, ...]], batches: int = 1) -> StepPlan:
    """That of a single process with one image group."""
    assignment = RankAssignment(dict.fromkeys(TASKS, (0,)), dict.fromkeys(TASKS, batches))
    sizes = dict.fromkeys(TASKS, IMAGES)
    return StepPlan.make(assignment, 0, sizes, WEIGHTS, 0, {GROUP: tuple(pass_groups)})


def largest_difference(first: MultiTaskModel, second: MultiTaskModel) -> float:
    """Of any weight."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if a.is_floating_point())
