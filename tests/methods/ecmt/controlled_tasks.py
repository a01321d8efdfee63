"""Three tasks with one slimmable encoder: two on the same images, one alone."""

from elastic_head import ElasticHead
from shared_images import own_batch

from mdl_nas_mm.utils.budgets import MACS

TASKS = ('seg', 'parts', 'alone')
SIZES = dict.fromkeys(TASKS, (16, 16))
TRUST = (f'{ElasticHead.__module__}.ElasticHead',)
RESNET = dict(
    type='ElasticResNet',
    depth=18,
    base_channels=3,
    stem_channels=3,
    strides=(1, 2, 1, 1),
    out_indices=(3,),
    space=dict(width_ratio=(0.4, 0.7, 1.0)),
    sharing='AllShared',
)


def images(task):
    return own_batch(task, 0, 0, (0, 1))


def logits(model, task):
    return [found.seg_logits.data for found in model.predict(task, images(task))]


def middle(controlled):
    cost, top = controlled.controller.costs[MACS], controlled.controller.columns.choices - 1
    least, most = (float(cost(row[None])[0]) for row in (0 * top, top))
    return str(int((least + most) / 2))
