"""Search stage 1: each task's skeleton, and the smallest architecture that has all of them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.engine.checkpoint import describe_backbone, describe_training
from mdl_nas_mm.families.swin_unet.dimensions import restrict
from mdl_nas_mm.families.swin_unet.skeletons import Skeleton, read_skeletons, union
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.owners import task_entry
from mdl_nas_mm.tasks import ResolvedConfig, resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.tasks.resolved import unresolved
from mdl_nas_mm.utils.task_names import check_tasks

from .heads import common_settings, head_of
from .step import SkeletonStep

_HEAD = 'decode_head'
# How many of a task's skeletons a text shows.
_SHOWN = 3


@dataclass(frozen=True)
class SkeletonChoice:
    """Where each task leaves the backbone.

    Attributes:
        skeletons: task -> its skeleton.
        probabilities: task -> skeleton -> pi, where a training has learned them.
        scores: task -> skeleton -> its score, where each was validated.
    """

    skeletons: Mapping[str, Skeleton]
    probabilities: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, cfg: ResolvedConfig, path: str | Path, checkpoint: Mapping) -> SkeletonChoice:
        """The likeliest skeletons of a training.

        Args:
            cfg: its config.
            path: what errors call the checkpoint.
            checkpoint: that the training has written.

        Raises:
            ValueError: a task has no heads of skeletons, or the checkpoint says nothing of them,
                or not which, as nothing was learned of them, or names one that is not there.
        """
        found, probabilities = {}, {}
        learned = checkpoint.get('method', {}).get('step', {})
        for task, skeletons in skeletons_of(cfg).items():
            key = task_entry(task, f'{_HEAD}.chosen')
            if key not in checkpoint['state_dict']:
                raise ValueError(f'checkpoint {path} does not fit: {key!r} is missing')
            chosen = int(checkpoint['state_dict'][key])
            if not 0 <= chosen < len(skeletons):
                raise ValueError(
                    f'checkpoint {path}: {key!r} is {chosen}, task {task!r} has {len(skeletons)} '
                    'skeletons'
                )
            found[task] = skeletons[chosen]
            logits = learned.get(f'skeletons.{task}.logits')
            said = cfg.model.tasks[task].model[_HEAD].get('chosen')
            if logits is None and said is None and len(skeletons) > 1:
                raise ValueError(
                    f'checkpoint {path}: task {task!r} has learned none of its {len(skeletons)} '
                    'skeletons; --validate finds the best one'
                )
            if logits is not None:
                left = learned[f'skeletons.{task}.left']
                pi = logits.float().masked_fill(~left, -float('inf')).softmax(0).tolist()
                probabilities[task] = {s.name: p for s, p in zip(skeletons, pi)}
        return cls(found, probabilities)

    @property
    def cells(self) -> tuple[str, ...]:
        """Those of the smallest architecture of all tasks (the union of Algorithm 1)."""
        return union(self.skeletons.values())

    def tasks_of(self, cell: str) -> tuple[str, ...]:
        """The tasks whose skeletons pass through a cell."""
        return tuple(task for task, each in self.skeletons.items() if cell in each.cells)

    def of(self, tasks: Collection[str] | None) -> SkeletonChoice:
        """Of some of the tasks alone; of all for None.

        Raises:
            ValueError: there is no such task.
        """
        if tasks is None:
            return self
        check_tasks('skeletons', tasks, self.skeletons)
        chosen = {task: each for task, each in self.skeletons.items() if task in tasks}
        return SkeletonChoice(chosen, self.probabilities, self.scores)

    def restricted(self, joint: JointSpec) -> JointSpec:
        """Architectures of more tasks, as those of these tasks, with the cells of these alone.

        Raises:
            ValueError: there is none of a task, or it lacks a cell.
        """
        for task in self.skeletons:
            if task not in joint:
                raise ValueError(f'joint spec: there is no architecture of task {task!r}')
        return JointSpec({task: restrict(joint[task], self.cells) for task in self.skeletons})

    def lines(self) -> list[str]:
        """As text: where each task leaves, and whose each cell is."""
        width = max(map(len, self.skeletons))
        found = []
        for task, skeleton in self.skeletons.items():
            numbers = self.scores.get(task) or self.probabilities.get(task) or {}
            best = sorted(numbers.items(), key=lambda pair: -pair[1])[:_SHOWN]
            said = ', '.join(f'{name} {value:.3g}' for name, value in best)
            found.append(f'{task:<{width}}  {skeleton.name}' + (f'   ({said})' if said else ''))
        found.append('')
        for cell in self.cells:
            found.append(f'{cell:<6}{", ".join(self.tasks_of(cell))}')
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return dict(
            skeletons={task: skeleton.name for task, skeleton in self.skeletons.items()},
            cells={cell: list(self.tasks_of(cell)) for cell in self.cells},
            probabilities=_of_tasks(self.probabilities, self.skeletons),
            scores=_of_tasks(self.scores, self.skeletons),
        )


def _of_tasks(
    numbers: Mapping[str, Mapping[str, float]], tasks: Collection[str]
) -> dict[str, dict[str, float]]:
    return {task: dict(own) for task, own in numbers.items() if task in tasks}


def skeletons_of(cfg: ResolvedConfig) -> dict[str, tuple[Skeleton, ...]]:
    """Task -> the skeletons that it has heads for.

    Raises:
        ValueError: a task has none; names it.
    """
    found = {}
    for task, info in cfg.model.tasks.items():
        head = info.model.get(_HEAD) or {}
        if str(head.get('type')).rpartition('.')[2] != 'SkeletonHeads':
            raise ValueError(
                f'task {task!r}: its decode_head is a {head.get("type")!r}, expected '
                'mdl_nas_mm.SkeletonHeads, which skeletons are chosen of'
            )
        found[task] = read_skeletons(head.get('skeletons', 'single-scale'))
    return found


def chosen_config(cfg: ResolvedConfig, choice: SkeletonChoice) -> Config:
    """A joint config of the chosen skeletons alone, each task with the head of its own.

    Its backbone has just the cells of these, in all their sizes, for a search or a training.

    Args:
        cfg: of the training in which the skeletons were chosen.
        choice: what was chosen, for all of its tasks or some.
    """
    found = unresolved(Config(cfg.to_dict()))
    for task in list(found.tasks):
        if task not in choice.skeletons:
            found.tasks.pop(task)
    for task, skeleton in choice.skeletons.items():
        info, heads = found.tasks[task], found.tasks[task].model[_HEAD]
        config = (heads.get('heads') or {}).get(skeleton.name) or heads.head
        config = copy.deepcopy(dict(config)) | common_settings(heads)
        info.model[_HEAD] = head_of(config, skeleton, skeleton.outputs, heads.in_channels)
        info.backbone['skeletons'] = [skeleton.name]
    found.backbone.pop('skeletons', None)
    step = (found.get('train_cfg') or {}).get('step') or {}
    kind = STEPS.get(step['type']) if 'type' in step else None
    if kind is not None and issubclass(kind, SkeletonStep):
        found.train_cfg.pop('step')
    return found


def chosen_checkpoint(
    cfg: ResolvedConfig, choice: SkeletonChoice, checkpoint: Mapping
) -> dict[str, Any]:
    """The weights of the chosen skeletons, as a checkpoint of ``chosen_config``.

    Args:
        cfg: of the training in which the skeletons were chosen.
        choice: what was chosen.
        checkpoint: of the training.
    """
    numbers = skeletons_of(cfg)
    resolved = resolve_joint_config(chosen_config(cfg, choice))
    model, state = weightless(resolved.model), checkpoint['state_dict']
    found = {}
    for key in model.state_dict():
        source = key
        for task, skeleton in choice.skeletons.items():
            prefix = task_entry(task, f'{_HEAD}.')
            if key.startswith(prefix):
                number = [s.name for s in numbers[task]].index(skeleton.name)
                source = f'{prefix}heads.{number}.{key.removeprefix(prefix)}'
        found[key] = state[source]
    meta = dict(backbone=describe_backbone(model.backbone), joint=describe_training(resolved))
    return dict(state_dict=found, meta=meta)
