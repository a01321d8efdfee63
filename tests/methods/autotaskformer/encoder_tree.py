"""A joint model whose tasks may leave a small encoder behind each of its cells."""

import copy

from shared_images import BACKBONES, CLASSES, TASKS, segmentor

from mdl_nas_mm.families.swin import ElasticSwin
from mdl_nas_mm.registry import MODELS

SKELETONS = ['e1', 'e2', 'e1+e2']
# Of the maps of the backbone at 1/4 and 1/8; it has no others.
CHANNELS = (16, 24, 24, 24)


@MODELS.register_module()
class EncoderTree(ElasticSwin):
    """ElasticSwin, whose maps are named as those of a tree of cells."""

    def output_cells(self, task):
        return ('e1', 'e2')


def heads(head, skeletons=SKELETONS, **others):
    """A config of heads like one that is there."""
    head = {k: v for k, v in head.items() if k not in ('in_channels', 'in_index')}
    own = {name: head for name in skeletons}
    if 'e1+e2' in own:
        own['e1+e2'] = dict(head, input_transform='resize_concat')
    return dict(
        type='mdl_nas_mm.SkeletonHeads',
        in_channels=CHANNELS,
        heads=own,
        skeletons=skeletons,
        num_classes=head['num_classes'],
        **others,
    )


def with_heads(model, skeletons=SKELETONS, **others):
    """The config of an upstream model with a head for each skeleton."""
    found = copy.deepcopy(model)
    found['decode_head'] = heads(found['decode_head'], skeletons, **others)
    return found


def tree_config(tasks=TASKS, **others):
    """The config of a joint model."""
    backbone = dict(BACKBONES['Swin'], type='EncoderTree', sharing='AllShared', tasks=tuple(tasks))
    models = {t: with_heads(segmentor(CLASSES.get(t, 4)), **others) for t in tasks}
    return dict(
        type='MultiTaskModel',
        backbone=backbone,
        tasks={t: dict(scope='mmseg', model=model) for t, model in models.items()},
    )
