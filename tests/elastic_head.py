"""A small elastic decode head, and the tiny joint config with it as segmentation's."""

from dataclasses import dataclass

import torch.nn.functional as F
from helpers import WIDTH, joint_config
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mdl_nas_mm.elastic import ElasticPart
from mdl_nas_mm.elastic.active import active
from mdl_nas_mm.elastic.family import PartFamily
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.sharing import TaskParameters
from mdl_nas_mm.spec import Dimensions, ParamUse
from mdl_nas_mm.spec.dimensions import blocks_of, size
from mdl_nas_mm.spec.layout import linear_uses, vector_uses

PART = 'seg.decode_head'
PREFIX = 'tasks.seg.decode_head'
CLASSES = 11
WIDTHS = (3, 5, 8)
SPACE = dict(depth=(1, 2), width=WIDTHS)


@dataclass(frozen=True)
class LayerSpec:
    """A convolution and its norm."""

    width: int = size('width', whole=True)


@dataclass(frozen=True)
class LayersSpec:
    """All layers."""

    blocks: tuple[LayerSpec, ...] = blocks_of(LayerSpec)


class WidthNorm(nn.BatchNorm2d):
    """A batch norm of its first channels."""

    def forward(self, x):
        width, factor = x.shape[1], self.momentum
        if self.training:
            self.num_batches_tracked += 1
            factor = 1 / float(self.num_batches_tracked) if factor is None else factor
        mean, var = self.running_mean[:width], self.running_var[:width]
        affine = self.weight[:width], self.bias[:width]
        return F.batch_norm(x, mean, var, *affine, self.training, factor or 0.0, self.eps)


class HeadLayout:
    """Layers one after the other; the classifier takes all channels, of which the last are zero."""

    shape = None

    def __init__(self, space, inputs, channels):
        self.space, self.inputs, self.channels = space, inputs, channels

    def parts(self, spec):
        inputs, found = self.inputs, [('last',)]
        for i, block in enumerate(spec.stages[0].blocks):
            found.append((i, inputs, block.width))
            inputs = block.width
        return found

    def part_uses(self, part):
        if part == ('last',):
            sizes = (CLASSES, self.channels)
            weight = ParamUse('conv_seg.weight', 'stem', 1, *sizes, *sizes)
            return weight, ParamUse('conv_seg.bias', 'stem', 1, CLASSES, 1, CLASSES, 1)
        i, inputs, width = part
        most = self.inputs if i == 0 else self.channels
        sizes = (width, self.channels, inputs, most, 1.0)
        uses = linear_uses(f'convs.{i}', 'conv', *sizes)
        return tuple(uses + vector_uses(f'norms.{i}', 'stem', width, self.channels))

    def uses(self, spec):
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))


@MODELS.register_module(force=True)
class ElasticHead(ElasticPart, BaseDecodeHead):
    """1 x 1 convolutions of any number and width."""

    family = PartFamily(name='head', dimensions=Dimensions(LayersSpec, roles=('conv',)))

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        blocks = self.space.largest().stages[0].blocks
        self.layout = HeadLayout(self.space, self.in_channels, self.channels)
        self.convs, self.norms, inputs = nn.ModuleList(), nn.ModuleList(), self.in_channels
        for block in blocks:
            shapes = dict(weight=(block.width, inputs), bias=(block.width,))
            self.convs.append(TaskParameters(shapes, self.sharing['conv'], self.tasks))
            self.norms.append(WidthNorm(block.width))
            inputs = block.width
        for parameter in self.convs.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)

    def forward(self, inputs):
        task, spec = self.chosen(active())
        x = self._transform_inputs(inputs)
        for conv, norm, block in zip(self.convs, self.norms, spec.stages[0].blocks):
            weight, bias = conv.take(task, block.width, x.shape[1], 1.0)
            x = norm(F.conv2d(x, weight[:, :, None, None], bias)).relu()
        return self.cls_seg(F.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1])))

    def settings_of(self, task, spec):
        return {}


TRUST = (f'{ElasticHead.__module__}.ElasticHead',)


def with_elastic_head(data, sharing='Sequential', changes=None):
    """Both maps of the backbone, concatenated, go into the head."""
    cfg = joint_config(data, sharing)
    cfg.tasks.seg.model.decode_head = dict(
        _delete_=True,
        type='mdl_nas_mm.ElasticHead',
        space=SPACE,
        in_channels=[WIDTH] * 2,
        in_index=[0, 1],
        input_transform='resize_concat',
        channels=max(WIDTHS),
        dropout_ratio=0.0,
        num_classes=CLASSES,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    cfg.merge_from_dict(changes or {})
    return cfg


def sizes(blocks, inputs=2 * WIDTH):
    """Elements of a head with layers of these widths, added up one by one."""
    total = CLASSES * max(WIDTHS) + CLASSES
    for width in blocks:
        total += width * inputs + width + 2 * width
        inputs = width
    return total


def largest_weights(model):
    """The head's state in the joint model."""
    return {k: v for k, v in model.state_dict().items() if k.startswith(PREFIX)}
