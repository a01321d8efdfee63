"""Tasks on the same images in one pass through the backbone against a pass for each.

    python benchmarks/image_group.py [--heads FCN ...] [--measure time] [--write FILE]

Four dense tasks on an ElasticViT of AutoFormer-S's size (the largest architecture), images of 224
pixels, with heads of 64 channels on the last map, UPerNet's on four; the ConvNeXt head is that of
efficient computation sharing, of 1536. A training step of a batch of 4 as an image group and as
separate tasks, with preprocessing and update; ``inference`` is all four predictions of one image.
``total_over_parts`` is what the passes of a step, or a prediction, take over the same backbone and
heads each timed by itself, ``head_percent`` what one head takes of the backbone.
``peak_mebibytes`` is the most memory of a step beyond the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from measuring import arguments, each_thread_count, medians, peak_mebibytes, ratios, report
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.balancing import Balancer
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.plan import StepPlan
from mdl_nas_mm.engine.step import Step, train_step
from mdl_nas_mm.families.vit.spaces import SPACES
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.group_batch import GroupBatch

TASKS = ('a', 'b', 'c', 'd')
SIDE, BATCH, CLASSES = 224, 4, 13
WIDTH = max(SPACES['autoformer-s']['embed_dim'])
HEADS = dict(
    FCN=dict(type='FCNHead', num_convs=1, concat_input=False),
    ASPP=dict(type='ASPPHead', dilations=(1, 6, 12, 18)),
    MLP=dict(type='FCNHead', num_convs=2, kernel_size=1, concat_input=False),
    SegFormer=dict(type='SegformerHead', in_channels=[WIDTH], in_index=[-1]),
    ConvNeXt=dict(type='mdl_nas_mm.ConvNeXtHead', channels=1536),
    UPerNet=dict(type='UPerHead', in_channels=[WIDTH] * 4, in_index=[0, 1, 2, 3]),
)


def joint_model(head: str):
    """The joint model, as its weights are initialised."""
    usual = dict(
        in_channels=WIDTH,
        in_index=-1,
        channels=64,
        num_classes=CLASSES,
        norm_cfg=dict(type='GN', num_groups=8),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    decode_head = usual | HEADS[head]
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, size_divisor=1
        ),
        backbone=dict(type='mdl_nas_mm.BackboneSlot'),
        decode_head=decode_head,
        train_cfg=dict(),
        test_cfg=ConfigDict(mode='whole'),
    )
    backbone = dict(
        type='ElasticViT',
        space='autoformer-s',
        sharing='AllShared',
        out_type='featmap',
        out_indices=(-4, -3, -2, -1) if head == 'UPerNet' else (-1,),
    )
    torch.manual_seed(0)
    with task_scope('mdl_nas_mm'):
        return MODELS.build(
            dict(
                type='MultiTaskModel',
                backbone=dict(backbone, tasks=TASKS),
                tasks=dict.fromkeys(TASKS, dict(scope='mmseg', model=model)),
            )
        ).train()


def batches(count: int = BATCH, tasks: Sequence[str] = TASKS, side: int = SIDE) -> dict[str, dict]:
    """Task -> a batch, as a loader gives it; all tasks have the same images."""
    images = [torch.randint(256, (3, side, side), dtype=torch.uint8) for _ in range(count)]

    def sample() -> SegDataSample:
        shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), (side, side))
        found = SegDataSample(metainfo=shape)
        found.gt_sem_seg = PixelData(data=torch.randint(CLASSES, (1, side, side)))
        return found

    return {
        task: dict(inputs=list(images), data_samples=[sample() for _ in images]) for task in tasks
    }


def stepper(
    model: MultiTaskModel,
    as_group: bool,
    update: bool = True,
    balance: Balancer | None = None,
    step: Step | None = None,
    count: int = BATCH,
    side: int = SIDE,
) -> Callable[[], None]:
    """A function that makes one step; the learning rate is 0, so that all have the same weights."""
    tasks = tuple(model.tasks)
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.0))
    if not update:
        wrapper.step = lambda: None
    pass_groups = {'images': (tasks,)} if as_group else {task: ((task,),) for task in tasks}
    sizes, weights = dict.fromkeys(tasks, count), dict.fromkeys(tasks, 1.0)
    plan = StepPlan.make(assign_ranks(tasks, None, 1), 0, sizes, weights, 0, pass_groups)
    specs = dict.fromkeys(tasks, [model.backbone.space.largest()])
    made = step or JointStep({}, freeze_rest=update)

    def run() -> None:
        given = {task: [batch] for task, batch in batches(count, tasks, side).items()}
        if as_group:
            own = {task: batch for task, (batch,) in given.items()}
            given = {'images': [GroupBatch(count, own, dict.fromkeys(tasks, range(count)))]}
        train_step(made, Passes(model, wrapper, given, plan, 0, balance=balance), specs)

    return run


def parts_of_a_step(model) -> dict[str, Callable[[], None]]:
    """The backbone and the heads, each by itself, forward and backward."""
    spec = model.backbone.space.largest()
    data = {task: model.preprocess(task, batch) for task, batch in batches().items()}
    images = data[TASKS[0]]['inputs']
    features = [x.detach().requires_grad_() for x in model.features(TASKS[0], spec, images)]
    grads = [torch.randn_like(x) for x in features]

    def backbone() -> None:
        model.backbone.zero_grad()
        torch.autograd.backward(model.features(TASKS[0], spec, images), grads)

    def heads() -> None:
        for task in TASKS:
            network = model.tasks[task]
            network.zero_grad()
            losses = network.decode_head.loss(features, data[task]['data_samples'], {})
            network.parse_losses(losses)[0].backward()

    return dict(backbone=backbone, heads=heads)


def inferences(model) -> dict[str, Callable[[], None]]:
    """All tasks' predictions of one image: in one pass, in one each; and what these are made of."""
    spec = model.backbone.space.largest()
    models = {task: model.subnet(task, spec).eval() for task in TASKS}
    data = {task: models[task].data_preprocessor(batch) for task, batch in batches(1).items()}
    images = data[TASKS[0]]['inputs']
    with torch.no_grad():
        features = models[TASKS[0]].extract_feat(images)

    @torch.no_grad()
    def separate() -> None:
        for task, batch in batches(1).items():
            models[task].val_step(batch)

    def together() -> None:
        with SharedPass():
            separate()

    @torch.no_grad()
    def backbone() -> None:
        models[TASKS[0]].extract_feat(images)

    @torch.no_grad()
    def heads() -> None:
        for task, network in models.items():
            samples = data[task]['data_samples']
            metas = [sample.metainfo for sample in samples]
            logits = network.decode_head.predict(features, metas, network.test_cfg)
            network.postprocess_result(logits, samples)

    return dict(together=together, separate=separate, backbone=backbone, heads=heads)


def compare(head: str, rounds: int) -> dict[str, object]:
    """All measurements with one kind of heads."""
    model = joint_model(head)
    predicted = medians(inferences(model), 3 * rounds)
    model.train()
    cases = {
        'group': stepper(model, as_group=True),
        'separate': stepper(model, as_group=False),
        'passes': stepper(model, as_group=True, update=False),
        **parts_of_a_step(model),
    }
    seconds = medians(cases, rounds)
    apart, apart_predicted = (each['backbone'] + each['heads'] for each in (seconds, predicted))
    return dict(
        step_seconds={name: round(value, 3) for name, value in seconds.items()},
        separate_over_group=ratios(seconds, 'group')['separate'],
        total_over_parts=round(seconds['passes'] / apart, 3),
        head_percent=round(100 * seconds['heads'] / len(TASKS) / seconds['backbone'], 1),
        inference_milliseconds={name: round(1e3 * value, 1) for name, value in predicted.items()},
        inference_separate_over_together=ratios(predicted, 'together')['separate'],
        inference_total_over_parts=round(predicted['together'] / apart_predicted, 3),
    )


def memory_case(head: str, as_group: bool) -> Callable[[], None]:
    """A step, in a process of its own."""
    return stepper(joint_model(head), as_group)


def memory(head: str) -> dict[str, int]:
    """Of a step as a group and as separate tasks, MiB."""
    cases = dict(group=True, separate=False)
    return {n: round(peak_mebibytes(partial(memory_case, head, one))) for n, one in cases.items()}


def main() -> None:
    args = arguments(__doc__, heads=tuple(HEADS), measure=('time', 'memory'))

    def measure() -> dict[str, dict]:
        return {head: compare(head, args.rounds) for head in args.heads}

    results = each_thread_count(measure, args.threads) if 'time' in args.measure else {}
    if 'memory' in args.measure:
        results['peak_mebibytes'] = {head: memory(head) for head in args.heads}
    report(args, dict(seed=0, batch=BATCH, **results))


if __name__ == '__main__':
    main()
