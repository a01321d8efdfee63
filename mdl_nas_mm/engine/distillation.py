"""Distillation between the subnets of a step: the largest, which runs first, teaches the others.

Shapes: B batch, C channels that a subnet has, K classes.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS, SUBNET_SAMPLERS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.subnets import has_one_size
from mdl_nas_mm.utils.registries import named_in

from .samplers import FixedSampler, UniformSampler


def check_teacher(cfg: Mapping[str, Any], what: str) -> Sequence[str]:
    """Looks for the largest subnet among those that a resolved joint config trains in a step.

    Args:
        cfg: the config.
        what: the setting by which others learn from it.

    Returns:
        A line where it is the only one, for the log.

    Raises:
        ValueError: it is not among them.
    """
    sampler = cfg['train_cfg'].get('sampler')
    kind = sampler and named_in(sampler, SUBNET_SAMPLERS, 'mdl_nas_mm', 'train_cfg.sampler')
    if kind and issubclass(kind, UniformSampler):
        raise ValueError(
            f'{what}: others learn from the largest subnet, and {kind.__name__} seldom has it in '
            "a step; write train_cfg.sampler=dict(type='SandwichSampler')"
        )
    if has_one_size(cfg) or (kind and issubclass(kind, FixedSampler)):
        return [f'{what} is not used: a step has one subnet of each task']
    return ()


def teacher_first(
    spaces: Mapping[str, SearchSpace], specs: Mapping[str, Sequence[SubnetSpec]], usual: int
) -> dict[str, list[SubnetSpec]]:
    """Each task's subnets, the largest of its space, whatever it shares, in front of the others.

    Args:
        spaces: task -> its space.
        specs: task -> its subnets of a step.
        usual: the place of the subnet that teaches where the largest is none of them.
    """
    found: dict[str, list[SubnetSpec]] = {}
    for task, group in specs.items():
        largest = _sizes(spaces[task], spaces[task].largest())
        of_size = [_sizes(spaces[task], spec) == largest for spec in group]
        place = of_size.index(True) if any(of_size) else usual % len(group)
        found[task] = [group[place], *group[:place], *group[place + 1 :]]
    return found


def _sizes(space: SearchSpace, spec: SubnetSpec) -> SubnetSpec:
    """The architecture with share ratios that are the same for all of its size."""
    return space.resample_ratios(spec, random.Random(0))


@dataclass
class Captured:
    """What a pass gave on its way.

    Attributes:
        features: of the backbone, one a level, without padding: (B, C, ...).
        logits: what the losses of the task's heads were given, in the order of the calls: usually
            (B, K) or (B, K, h, w).
    """

    features: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)

    def detached(self) -> Captured:
        """The same as targets: no gradient flows back into the pass that gave them."""
        return Captured([f.detach() for f in self.features], [x.detach() for x in self.logits])


@contextmanager
def capture(model: MultiTaskModel, task: str, spec: SubnetSpec) -> Generator[Captured]:
    """Keeps what the one pass inside the block gives on its way.

    A loss is any module of the task's model that has a ``loss_weight``.
    """
    captured = Captured()

    def keep_features(_: nn.Module, args: tuple, outputs: tuple[Tensor, ...]) -> None:
        widths = model.backbone.active_channels(task, spec.root)
        captured.features = [x[:, :width] for x, width in zip(outputs, widths, strict=True)]

    def keep_logits(_: nn.Module, args: tuple) -> None:
        captured.logits.append(args[0])

    losses = [m for m in model.tasks[task].modules() if hasattr(m, 'loss_weight')]
    with ExitStack() as stack:
        hooks = [model.backbone.register_forward_hook(keep_features)]
        hooks += [loss.register_forward_pre_hook(keep_logits) for loss in losses]
        for hook in hooks:
            stack.callback(hook.remove)
        yield captured


@MODELS.register_module()
class ChannelMeanLoss(nn.Module):
    """Squared difference of two features, each averaged over its own channels.

    So features of subnets of different widths can be compared: the channel-invariant knowledge
    distillation (CI-KD) of ECMT.

    Args:
        loss_weight: multiplies the loss.
    """

    file_refusal = 'is of a training alone'

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Of (B, C, ...) and (B, C', ...)."""
        return self.loss_weight * F.mse_loss(student.float().mean(1), teacher.float().mean(1))


@MODELS.register_module()
class SoftTargetLoss(nn.Module):
    """Divergence of a student's class probabilities from a teacher's (Hinton et al., 2015).

    Args:
        temperature: divides both logits; the loss is multiplied by its square.
        loss_weight: multiplies the loss.
    """

    file_refusal = 'is of a training alone'

    def __init__(self, temperature: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature, self.loss_weight = temperature, loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Of logits (B, K, ...); the mean over all but the classes."""
        own, target = (F.log_softmax(x.float() / self.temperature, 1) for x in (student, teacher))
        divergence = F.kl_div(own, target, reduction='none', log_target=True).sum(1).mean()
        return self.loss_weight * self.temperature**2 * divergence


class Distillation(nn.Module):
    """What a subnet learns from the teacher of its step.

    Args:
        features: config of a loss of two features, in ``MODELS``; it is called for each level.
        logits: config of a loss of two logits.
        tasks: which tasks distil; by default all. Logits cannot be compared where a head chooses
            what it looks at anew in each pass, as detectors' second stages do.
    """

    def __init__(
        self,
        features: Mapping[str, Any] | None = None,
        logits: Mapping[str, Any] | None = None,
        tasks: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        if features is None and logits is None:
            raise ValueError('distill: give features, logits, or both; or remove it')
        self.losses = nn.ModuleDict()
        with task_scope('mdl_nas_mm'):
            for name, config in (('features', features), ('logits', logits)):
                if config is not None:
                    self.losses[name] = MODELS.build(dict(config))
        self.tasks = tasks

    def forward(self, task: str, student: Captured, teacher: Captured) -> dict[str, Tensor]:
        """The losses of a student's pass by name, ``distill_features`` and ``distill_logits``.

        Raises:
            ValueError: student and teacher have logits of different shapes.
        """
        if self.tasks is not None and task not in self.tasks:
            return {}
        found = {}
        for name, loss in self.losses.items():
            own, target = getattr(student, name), getattr(teacher, name)
            if name == 'logits':
                _check_alike(task, own, target)
            values = [loss(*pair) for pair in zip(own, target, strict=True)]
            found[f'distill_{name}'] = cast(Tensor, sum(values)) / len(values)
        return found


def _check_alike(task: str, own: list[Tensor], target: list[Tensor]) -> None:
    shapes, others = ([tuple(x.shape) for x in logits] for logits in (own, target))
    if shapes != others or not shapes:
        raise ValueError(
            f'distill.logits: task {task!r} has logits of shapes {shapes}, its teacher {others}; '
            'leave it out of distill.tasks'
        )
