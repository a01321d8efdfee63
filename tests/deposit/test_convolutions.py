"""Kernels, depthwise layers and a layer behind a concatenation, from counting to the deposit."""

import copy
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from deposits import SHARINGS, pack_joint
from helpers import build_model, joint_config, only, random_joint
from torch.nn import functional as F

from mdl_nas_mm.deposit import Deposit, load_tasks
from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.engine.freeze import partial_masks
from mdl_nas_mm.families.transformer.dimensions import hidden_features
from mdl_nas_mm.families.vit import VIT
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.exact.regions import shared_regions
from mdl_nas_mm.sharing import TaskParameters
from mdl_nas_mm.spec import BatchLedger, ParamUse, footprint
from mdl_nas_mm.spec.owners import read_name, specific_name
from mdl_nas_mm.tasks import resolve_joint_config

TASKS = ('a', 'b')
OUT = 6
RATIOS = (0, 0.3, 0.5, 1)
SPACE = dict(embed_dim=(3, 5, 8), depth=1, num_heads=1, mlp_ratio=(0.5, 1, 2), share_ratio=RATIOS)


class Conv(TaskParameters):
    """An elastic convolution; behind a concatenation it is told the runs of its columns."""

    def __init__(self, inputs, outputs, kernel, policy, tasks):
        shapes = dict(weight=(outputs, inputs, kernel, kernel), bias=(outputs,))
        super().__init__(shapes, policy, tasks)
        self.kernel = kernel
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -1, 1)

    def forward(self, x, task, channels, ratio, runs=None, groups=1):
        columns = x.shape[1] // groups * self.kernel**2 if runs is None else runs
        weight, bias = self.take(task, channels, columns, ratio)
        weight = weight.unflatten(1, (-1, self.kernel, self.kernel))
        return F.conv2d(x, weight, bias, padding=self.kernel // 2, groups=groups)


class Layout:
    """One block: two branches of different widths, concatenated before a last layer."""

    shape = SimpleNamespace(head_dim=None)

    def __init__(self, space):
        self.space = space

    def parts(self, spec):
        block = spec.stages[0].blocks[0]
        return [(*widths(spec), block.ffn_share_ratio)]

    def part_uses(self, part):
        wide, hidden, ratio = part
        most, most_hidden = widths(self.space.largest())
        found = []
        for name, rows, most_rows, runs in (
            ('wide', wide, most, [(0, 27)]),
            ('depthwise', wide, most, [(0, 9)]),
            ('narrow', hidden, most_hidden, [(0, 3)]),
            ('fuse', OUT, OUT, [(0, wide * 9), (most * 9, hidden * 9)]),
        ):
            columns = (most + most_hidden) * 9 if name == 'fuse' else runs[0][1]
            found += [
                ParamUse(f'{name}.weight', 'ffn', 1, most_rows, columns, rows, count, ratio, first)
                for first, count in runs
            ]
            found.append(ParamUse(f'{name}.bias', 'ffn', 1, most_rows, 1, rows, 1, ratio))
        return tuple(found)

    def uses(self, spec):
        return self.part_uses(*self.parts(spec))

    def flops(self, spec, input_size, attention_products=True):
        return 0


def widths(spec):
    (stage,) = spec.stages
    return stage.embed_dim, hidden_features(stage.embed_dim, stage.blocks[0].mlp_ratio)


@MODELS.register_module(force=True)
class TwoBranches(ElasticBackbone):
    """A small convolutional backbone."""

    family = VIT

    shape = SimpleNamespace(head_dim=None)

    def __init__(self, *args, head_dim=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.layout = Layout(self.space)
        wide, hidden = widths(self.space.largest())
        self.most = wide
        args = self.sharing['ffn'], self.tasks
        self.wide, self.depthwise = Conv(3, wide, 3, *args), Conv(1, wide, 3, *args)
        self.narrow, self.fuse = Conv(3, hidden, 1, *args), Conv(wide + hidden, OUT, 3, *args)

    def forward_subnet(self, x, task, spec):
        (wide, hidden), ratio = widths(spec), spec.stages[0].blocks[0].ffn_share_ratio
        first = self.wide(x, task, wide, ratio).relu()
        first = self.depthwise(first, task, wide, ratio, groups=wide)
        both = torch.cat((first, self.narrow(x, task, hidden, ratio)), dim=1).relu()
        runs = [(0, wide * 9), (self.most * 9, hidden * 9)]
        return (self.fuse(both, task, OUT, ratio, runs),)

    def settings_of(self, task, spec):
        return {}

    def depth_of(self, name):
        return 0


TRUST = (f'{TwoBranches.__module__}.TwoBranches',)
with_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)


@pytest.fixture(scope='module')
def build(data):
    def build(sharing):
        cfg = only(joint_config(data), 'cls')
        cfg.backbone = dict(type='TwoBranches', space=SPACE, sharing=sharing)
        cls = cfg.tasks.cls
        cls.pop('backbone')
        cls.model.update(
            neck=dict(type='GlobalAveragePooling'), head=dict(cls.model.head, in_channels=OUT)
        )
        cfg.tasks = {task: copy.deepcopy(cls) for task in TASKS}
        cfg = resolve_joint_config(cfg)
        return cfg, build_model(cfg).eval()

    return build


def is_shared(policy, scores, ratio, row, rows):
    """Whether an output channel is shared; the rules by channel."""
    if policy.type == 'Sequential':
        return row + 0.5 <= ratio * rows
    if policy.type != 'Mask':
        return policy.type == 'AllShared'
    if policy.threshold == 'score':
        return scores[row] >= np.float32(ratio)
    better = (scores[:rows] > scores[row]).sum() + (scores[:row] == scores[row]).sum()
    return better + 0.5 <= ratio * rows


def by_hand(backbone, joint):
    """Entry -> boolean mask of its shape, of what the tasks' architectures use."""
    parameters, scores = dict(backbone.named_parameters()), backbone.scores()
    policy, most, found = backbone.sharing['ffn'], widths(backbone.space.largest())[0], {}
    for task, spec in joint.items():
        wide, hidden = widths(spec)
        ratio = spec.stages[0].blocks[0].ffn_share_ratio
        inputs = [*range(wide), *range(most, most + hidden)]
        for layer, rows in dict(wide=wide, depthwise=wide, narrow=hidden, fuse=OUT).items():
            for leaf in ('weight', 'bias'):
                for row in range(rows):
                    name = f'{layer}.{leaf}'
                    if not is_shared(policy, scores.get(layer), ratio, row, rows):
                        name = specific_name(name, task)
                    mask = found.setdefault(name, np.zeros(parameters[name].shape, bool))
                    if leaf == 'weight' and layer == 'fuse':
                        mask[row, inputs] = True
                    else:
                        mask[row] = True
    return found


@with_sharings
def test_counts_are_those_by_hand(build, sharing):
    _, model = build(sharing)
    backbone, ledger = model.backbone, model.backbone.ledger()
    rng, joints = random.Random(0), []
    for _ in range(10):
        joint = random_joint(model, rng)
        joints.append(joint)
        marks, counts = by_hand(backbone, joint), ledger.count(joint)
        sizes = {name: int(mask.sum()) for name, mask in marks.items()}
        assert counts.shared == sum(n for k, n in sizes.items() if read_name(k).owners.are_all)
        for task in TASKS:
            own = sum(n for k, n in sizes.items() if f'.specific.{task}.' in k)
            assert counts.specific[task] == own
        found: dict[str, int] = {}
        for (name, _), lengths in footprint(ledger, joint.items()).items():
            found[name] = found.get(name, 0) + int(lengths.sum())
        assert {name: size for name, size in found.items() if size} == sizes
    totals = [ledger.count(joint).backbone_total for joint in joints]
    assert BatchLedger(ledger).totals(joints).tolist() == totals
    specs = list(dict.fromkeys(spec for joint in joints for spec in joint.values()))
    sizes, shares = shared_regions(ledger, [(TASKS[0], spec) for spec in specs])
    for joint in joints:
        rows = [specs.index(spec) for spec in joint.values()]
        assert sizes[shares[rows].any(axis=0)].sum() == ledger.count(joint).shared


@with_sharings
def test_what_is_frozen_is_all_that_gets_no_gradient(build, sharing):
    _, model = build(sharing)
    backbone, joint = model.backbone, random_joint(model, random.Random(3))
    images = torch.randn(2, 3, 16, 16)
    for task, spec in joint.items():
        backbone.forward_subnet(images, task, spec)[0].square().sum().backward()
    masks, marks = partial_masks(backbone, list(joint.items())), by_hand(backbone, joint)
    for name, parameter in backbone.named_parameters():
        if read_name(name).is_score:
            continue
        expected = torch.from_numpy(marks.get(name, np.zeros(parameter.shape, bool)))
        assert torch.equal(masks.get(parameter, torch.ones_like(expected)), expected), name
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert not gradient[~expected].any(), name
        parameter.grad = None


@with_sharings
@torch.no_grad()
def test_deposited_tasks_answer_as_their_subnets(build, sharing, tmp_path):
    cfg, model = build(sharing)
    backbone, rng, images = model.backbone, random.Random(1), torch.randn(2, 3, 16, 16)
    for i in range(3):
        joint, path = random_joint(model, rng), tmp_path / f'{i}.safetensors'
        counts = pack_joint(path, cfg, model, joint, TRUST)
        deposit, together = Deposit(path, TRUST), load_tasks(path, trust=TRUST)
        assert deposit.counts == counts == backbone.ledger(model.head_sizes()).count(joint)
        for task, spec in joint.items():
            (expected,) = backbone.forward_subnet(images, task, spec)
            config = dict(type='TwoBranches', space=SPACE, sharing=sharing, tasks=TASKS)
            plain = plain_part(backbone, config, task, spec)
            for found in (plain, deposit.load_task(task).backbone, together[task].backbone):
                assert torch.equal(found(images)[0], expected)
