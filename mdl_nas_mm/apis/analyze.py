"""Parameters and FLOPs of a joint config's tasks, without weights or data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone, activate
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec, Owners, SubnetSpec, check_joint
from mdl_nas_mm.spec.owners import SCORE, part_entry, scores_in
from mdl_nas_mm.tasks import MultiTaskModel, given_spec, pass_groups_of, task_scope, validation_size
from mdl_nas_mm.tasks.elastic_parts import part_name
from mdl_nas_mm.tasks.part_flops import counted
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.utils.task_names import check_tasks

Size = tuple[int, int]


def analyze(
    cfg: Config,
    joint: JointSpec | None = None,
    input_sizes: Mapping[str, Size] | None = None,
    scores: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Counts what every task's architecture takes to store and to run.

    The models are built without memory for their weights. FLOPs are multiply-adds of one image;
    those of backbones are counted in closed form, once with and once without the attention
    products (q k^T, attention times v, and relative positions), as publications differ in that.

    Args:
        cfg: a resolved joint config.
        joint: the architectures; by default the config's ``joint_spec``, else the largest.
        input_sizes: task -> (height, width); by default what its validation pipeline gives.
        scores: scores of the mask policy by layer, from a trained supernet; those of layers outside
            the backbone by their whole names. Without them, and where there are any, scores are
            sampled as they are initialised, uniform in [0, 1].

    Returns:
        ``tasks.<task>`` with ``input_size``, ``backbone_params``, ``neck_params``,
        ``head_params`` (all that is not backbone, the neck included), ``backbone_flops``,
        ``backbone_flops_without_attention``, ``neck_flops``, ``head_flops`` (without the neck),
        ``flops`` and ``flops_without_attention`` (of the whole model); ``passes``, a list of
        ``tasks`` that share a pass with its ``backbone_flops`` and their ``flops``, that pass
        counted once; ``flops`` of all tasks so; ``shared``,
        ``specific.<task>``, ``backbone_total``, ``backbone_separate``, ``total``, ``separate``.

    Raises:
        ValueError: an architecture is not in the space, or a size is not known.
    """
    names = tuple(cfg.tasks)
    check_tasks('input size', input_sizes or {}, names)
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    model.eval()
    _give_scores(model, scores)
    if joint is None and cfg.get('joint_spec') is not None:
        joint = given_spec(cfg)
    joint = joint or JointSpec({name: space.largest() for name, space in model.spaces.items()})
    check_joint(joint, model.spaces)
    masks = initial_scores(model.backbone) if scores is None else scores
    counts = model.supernet.ledger(model.head_sizes(), masks).count(joint)
    tasks = {}
    for name in names:
        size = (input_sizes or {}).get(name) or validation_size(cfg.val_dataloader[name], name)
        tasks[name] = dict(
            input_size=list(size),
            backbone_params=counts.backbones[name],
            neck_params=_neck_params(model, name, joint[name]),
            head_params=counts.head_of(name),
            **_task_flops(model, name, joint, size),
        )
    passes = [
        _pass(tasks, group) for group in pass_groups_of(cfg).shared if _is_one(tasks, joint, group)
    ]
    return dict(
        tasks=tasks,
        passes=passes,
        flops=_flops_of_all(tasks, passes),
        **counts.with_totals(),
    )


def _is_one(tasks: Mapping[str, dict], joint: JointSpec, group: PassGroup) -> bool:
    """Whether what is counted of tasks that may share a pass is of one pass."""
    found = {(joint[task].root, *tasks[task]['input_size']) for task in group}
    return len(found) == 1


def _pass(tasks: Mapping[str, dict], group: PassGroup) -> dict[str, Any]:
    """What tasks that share a pass take to run."""
    backbone = tasks[group[0]]['backbone_flops']
    heads = sum(tasks[task]['neck_flops'] + tasks[task]['head_flops'] for task in group)
    return dict(tasks=list(group), backbone_flops=backbone, flops=backbone + heads)


def _flops_of_all(tasks: Mapping[str, dict], passes: Sequence[dict]) -> int:
    together = {task for each in passes for task in each['tasks']}
    alone = sum(task['flops'] for name, task in tasks.items() if name not in together)
    return alone + sum(each['flops'] for each in passes)


def initial_scores(backbone: ElasticBackbone, seed: int = 0) -> dict[str, np.ndarray]:
    """Mask scores sampled as they are initialised, uniform in [0, 1].

    Args:
        backbone: names the layers that have scores, and their sizes.
        seed: of the samples.
    """
    generator = np.random.default_rng(seed)
    return {
        layer: generator.random(len(score), np.float32)
        for layer, score in scores_in(dict(backbone.named_parameters())).items()
    }


def _give_scores(model: MultiTaskModel, scores: Mapping[str, np.ndarray] | None) -> None:
    """Gives layers that tasks share in part scores, in place of those without memory."""
    generator = np.random.default_rng(0)
    for each in model.held_parts:
        for path, rows in each.rows.items():
            if SCORE in rows.learned:
                layer = part_entry(each.part.owners, each.path_of(path))
                sampled = generator.random(rows.channels, np.float32)
                score = torch.from_numpy((scores or {}).get(layer, sampled))
                rows.learned[SCORE] = nn.Parameter(score)
                rows.hold(rows.held)


def _task_flops(model: MultiTaskModel, task: str, joint: JointSpec, size: Size) -> dict[str, int]:
    backbone, upstream = model.backbone, model.tasks[task]
    with torch.no_grad(), task_scope(model.scopes[task]):
        images = torch.empty(1, backbone.shape.in_channels, *size, device='meta')
        with activate(task, joint[task]):
            features = backbone(images)
            neck = 0
            if getattr(upstream, 'neck', None) is not None:
                features, neck = counted(upstream.neck, features)
            head = _head_flops(upstream, features)
    own = backbone.flops(task, joint[task], size)
    without = backbone.flops(task, joint[task], size, attention_products=False)
    return dict(
        backbone_flops=own,
        backbone_flops_without_attention=without,
        neck_flops=neck,
        head_flops=head,
        flops=own + neck + head,
        flops_without_attention=without + neck + head,
    )


def _head_flops(model: BaseModel, features: Sequence[Tensor]) -> int:
    """Multiply-adds of an upstream model's heads behind the neck."""
    if getattr(model, 'roi_head', None) is not None:
        return counted(model.rpn_head, features)[1] + _roi_flops(model)
    for name in ('decode_head', 'bbox_head', 'head'):
        head = getattr(model, name, None)
        if head is not None:
            stages = head if isinstance(head, nn.ModuleList) else [head]
            return sum(counted(stage, features)[1] for stage in stages)
    return 0


def _roi_flops(model: BaseModel) -> int:
    """Multiply-adds of the heads on regions, as many as the test settings give at most."""
    roi, total = model.roi_head, 0
    counts = dict(bbox=model.test_cfg.rpn.max_per_img, mask=model.test_cfg.rcnn.max_per_img)
    for kind, count in counts.items():
        heads = getattr(roi, f'{kind}_head', None)
        if heads is None:
            continue
        extractors = getattr(roi, f'{kind}_roi_extractor')
        listed = isinstance(heads, nn.ModuleList)
        for head, extractor in zip(
            heads if listed else [heads], extractors if listed else [extractors]
        ):
            side = extractor.roi_layers[0].output_size
            regions = torch.empty(count, extractor.out_channels, *side, device='meta')
            total += counted(head, regions)[1]
    return total


def _neck_params(model: MultiTaskModel, task: str, spec: SubnetSpec) -> int:
    """Elements of a task's neck, whoever shares them; of an elastic one those in use."""
    name = part_name(task, 'neck')
    if name in model.supernet.members:
        part = model.supernet.parts[name]
        uses = part.layout.uses(part.placed(spec))
        return sum(use.size for use in uses)
    shared = (part for label, part in model.parts.items() if task in Owners.read(label))
    necks = (getattr(owner, 'neck', None) for owner in (model.tasks[task], *shared))
    total = sum(p.numel() for neck in necks if neck is not None for p in neck.parameters())
    for each in model.held_parts:
        if task in each.part.tasks and each.part.module.split('.')[0] == 'neck':
            # Such layers are there as the task's own and as the shared ones.
            twice = (p for rows in each.rows.values() for p in rows.held.parameters(recurse=False))
            total -= sum(p.numel() for p in twice)
    return total
