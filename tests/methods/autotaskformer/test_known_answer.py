"""A problem whose skeletons are known: one task needs small patches, the other the whole image.

Of 8 x 8 patches of 4 x 4 pixels each has one of four colours, which is what the first task asks
for: the first cell has it, and no map of 1/8 or less. One quarter of the image is a mark of one of
two colours; the second task asks everywhere for its colour. Blocks are not shifted, so a window of
the first two cells sees a quarter of the image at most; the map at 1/32 is of all of it.
"""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from shared_images import GROUP, segmentor

from mdl_nas_mm.engine.assignment import RankAssignment
from mdl_nas_mm.engine.method import build_step
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.plan import StepPlan
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.tasks.group_batch import GroupBatch

TASKS = dict(patches=4, mark=2)
SKELETONS = ['e1', 'e2', 'e4', 'd2.1']
ANSWERS = dict(patches='e1', mark='e4')
WIDTHS = (16, 24, 24, 32)
SIDE, PATCH, IMAGES, STEPS = 32, 4, 16, 100
COLOURS = torch.tensor(
    [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]]
)


def model_of(seed):
    torch.manual_seed(seed)
    space = [dict(embed_dim=w, depth=1, num_heads=2, mlp_ratio=2, window_side=2) for w in WIDTHS]
    tasks = {}
    for task, classes in TASKS.items():
        model = segmentor(classes)
        head = {k: v for k, v in model['decode_head'].items() if not k.startswith('in_')}
        model['decode_head'] = dict(
            type='mdl_nas_mm.SkeletonHeads',
            in_channels=WIDTHS,
            head=dict(head, channels=16),
            skeletons=SKELETONS,
        )
        tasks[task] = dict(scope='mmseg', model=model)
    backbone = dict(
        type='ElasticSwinUNet',
        space=space,
        head_dim=8,
        sharing='AllShared',
        tasks=tuple(TASKS),
        skeletons=SKELETONS,
    )
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))
    model.init_weights()
    return model.train()


def batch_of(generator):
    """Random images with the labels of both tasks, a label for each patch."""
    side = SIDE // PATCH
    colours = torch.randint(4, (IMAGES, side, side), generator=generator)
    marks = torch.randint(2, (IMAGES,), generator=generator)
    quarters = torch.randint(2, (IMAGES, 2), generator=generator) * side // 2
    found = {task: dict(inputs=[], data_samples=[]) for task in TASKS}
    for patches, mark, (row, column) in zip(colours, marks, quarters):
        patches[row : row + side // 2, column : column + side // 2] = 4 + mark
        image = COLOURS[patches].permute(2, 0, 1).repeat_interleave(PATCH, 1)
        image = image.repeat_interleave(PATCH, 2).to(torch.uint8)
        labels = dict(patches=patches.masked_fill(patches > 3, 255), mark=mark.expand(side, side))
        for task, label in labels.items():
            shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), (SIDE, SIDE))
            sample = SegDataSample(metainfo=shape)
            sample.gt_sem_seg = PixelData(data=label[None])
            found[task]['inputs'].append(image)
            found[task]['data_samples'].append(sample)
    places = dict.fromkeys(TASKS, tuple(range(IMAGES)))
    return GroupBatch(IMAGES, found, places)


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_the_skeletons_are_found(seed):
    model = model_of(seed)
    config = dict(
        type='AutoTaskFormerStep',
        skeletons=SKELETONS,
        temperature=dict(steps=STEPS, end=0.5),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
    )
    spaces = dict.fromkeys(TASKS, model.backbone.space)
    step = build_step(config, spaces, seed, model, None)
    assignment = RankAssignment(dict.fromkeys(TASKS, (0,)), dict.fromkeys(TASKS, 1))
    sizes, weights = dict.fromkeys(TASKS, IMAGES), dict.fromkeys(TASKS, 1.0)
    plan = StepPlan.make(assignment, 0, sizes, weights, seed, {GROUP: (tuple(TASKS),)})
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=3e-3))
    specs = dict.fromkeys(TASKS, [model.backbone.space.largest()])
    generator = torch.Generator().manual_seed(seed)
    for iteration in range(STEPS):
        batches = {GROUP: [batch_of(generator)]}
        train_step(step, Passes(model, optimizer, batches, plan, iteration), specs)
    for task, name in ANSWERS.items():
        found = dict(zip(SKELETONS, step.skeletons[task].probabilities.tolist()))
        assert max(found, key=found.get) == name, found
        assert SKELETONS[int(model.tasks[task].decode_head.chosen)] == name
