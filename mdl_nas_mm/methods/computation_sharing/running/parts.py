"""The row-wise parts of a task's transformer, and in which of them it differs from its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone, of_task
from mdl_nas_mm.elastic.family import known_families
from mdl_nas_mm.families.transformer.row_steps import (
    BlockSteps,
    MergingSteps,
    RowLinear,
    RowSteps,
)


@dataclass(frozen=True, eq=False)
class Part:
    """Linear layers of rows, with a GELU between two of them.

    Attributes:
        layers: one, or the two of a feed-forward network.
        block: number of the block that they belong to; of a merging, of the one before it.
        base_layers: those of the base task; empty where the weights are the base's own.
        weight_density: the part of the weights that differs from the base's, S_w.
    """

    layers: tuple[RowLinear, ...]
    block: int
    base_layers: tuple[RowLinear, ...] = ()
    weight_density: float = 0.0

    @classmethod
    def of(
        cls, layers: tuple[RowLinear, ...], block: int, base_layers: tuple[RowLinear, ...]
    ) -> Part:
        """A part beside that of the base task."""
        if all(map(_are_equal, layers, base_layers)):
            return cls(layers, block)
        pairs = zip(layers, base_layers)
        different = sum(int((ours.weight != base.weight).sum()) for ours, base in pairs)
        part = cls(layers, block, base_layers)
        return replace(part, weight_density=different / part.products)

    @property
    def name(self) -> str:
        """Of its first layer."""
        return self.layers[0].name

    @property
    def differs(self) -> bool:
        """Whether its weights are not the base's."""
        return bool(self.base_layers)

    @property
    def products(self) -> int:
        """Multiply-adds of one row."""
        return sum(layer.weight.numel() for layer in self.layers)

    def single(self) -> list[Part]:
        """Each of its layers as a part of its own."""
        base = self.base_layers or self.layers
        return [Part.of((own,), self.block, (other,)) for own, other in zip(self.layers, base)]

    def __call__(self, rows: Tensor) -> Tensor:
        first, *others = self.layers
        rows = first(rows)
        for layer in others:
            rows = layer(F.gelu(rows))
        return rows


@dataclass(frozen=True, eq=False)
class TaskSteps:
    """One task's transformer on images of one size.

    Attributes:
        rows: its steps.
        parts: name of a step -> its parts: of a block qkv, proj and the feed-forward network, of
            a merging its reduction.
        other: names of parameters that differ from the base's outside of the parts.
    """

    rows: RowSteps
    parts: Mapping[str, tuple[Part, ...]]
    other: frozenset[str]

    @property
    def blocks(self) -> int:
        """How many there are."""
        return sum(isinstance(step, BlockSteps) for step in self.rows.steps)

    @property
    def first(self) -> Part:
        """The one whose inputs tell how much of a frame has changed."""
        return self.parts[self.rows.steps[0].name][0]

    def first_inputs(self, rows: Tensor) -> Tensor:
        """What the first part is given of embedded rows."""
        step = self.rows.steps[0]
        assert isinstance(step, BlockSteps)
        return step.norm1(rows)

    def differs(self, *prefixes: str) -> bool:
        """Whether any parameter below these names differs, outside of the parts."""
        return any(name.startswith(prefixes) for name in self.other)


def steps_of(
    backbone: nn.Module, base: nn.Module | None, batch: int, size: tuple[int, int]
) -> TaskSteps:
    """A task's steps.

    Args:
        backbone: plain, of one task.
        base: that of the base task; None for the base task itself.
        batch: images.
        size: (height, width) of them in pixels.
    """
    rows = _row_steps(backbone, batch, size)
    theirs = {} if base is None else dict(base.named_parameters())
    differing = {
        name
        for name, ours in backbone.named_parameters()
        if theirs and ours is not theirs[name] and not torch.equal(ours, theirs[name])
    }
    others = None if base is None else _row_steps(base, batch, size).steps
    parts, found, block = {}, set(), -1
    for i, step in enumerate(rows.steps):
        block += isinstance(step, BlockSteps)
        groups = _layers(step)
        base_groups = groups if others is None else _layers(others[i])
        made = []
        for layers, base_layers in zip(groups, base_groups):
            made.append(Part.of(layers, block, base_layers))
            found.update(layer.name for layer in layers)
        parts[step.name] = tuple(made)
    inside = tuple(f'{name}.' for name in found) + tuple(f'{name}_bias.' for name in found)
    return TaskSteps(rows, parts, frozenset(n for n in differing if not n.startswith(inside)))


def check_alike(base: ElasticBackbone, task: str, backbone: ElasticBackbone) -> None:
    """Raises ValueError unless a sub-task has its base's architecture and input."""
    if type(backbone) is not type(base) or backbone.arch != base.arch:
        raise ValueError(
            f'task {task!r} is a {type(backbone).__name__} of another architecture than the '
            f"base's {type(base).__name__}; sub-tasks have the base's architecture"
        )
    for (name, ours), theirs in zip(backbone.named_parameters(), base.parameters()):
        if ours.shape != theirs.shape:
            raise ValueError(
                f'task {task!r}: {name!r} is {tuple(ours.shape)}, of the base '
                f"{tuple(theirs.shape)}; sub-tasks have the base's architecture and input size"
            )
    for key, setting in base.family.task_settings.items():
        if setting.is_output:
            continue
        ours, theirs = (of_task(getattr(b, key), b.task, key) for b in (backbone, base))
        if ours != theirs:
            raise ValueError(
                f'task {task!r} has {key} {ours}, its base {theirs}; they are to agree'
            )
    if backbone.shape != base.shape:
        raise ValueError(
            f'task {task!r} has {backbone.shape}, its base {base.shape}; give a sub-task that was '
            "trained from this base, with the base's input size"
        )


def _row_steps(backbone: nn.Module, batch: int, size: tuple[int, int]) -> RowSteps:
    take_apart = backbone.family.row_steps if isinstance(backbone, ElasticBackbone) else None
    if take_apart is None:
        names = sorted(name for name, each in known_families().items() if each.row_steps)
        raise ValueError(
            f'{type(backbone).__name__} is not computed row by row; computation sharing runs '
            f'backbones of the families {names}'
        )
    return take_apart(backbone, batch, size)


def _layers(step: BlockSteps | MergingSteps) -> list[tuple[RowLinear, ...]]:
    if isinstance(step, BlockSteps):
        return [(step.qkv,), (step.proj,), (step.fc1, step.fc2)]
    return [(step.reduction,)]


def _are_equal(ours: RowLinear, theirs: RowLinear) -> bool:
    if ours is theirs:
        return True
    biases = ours.bias, theirs.bias
    same_bias = biases[0] is biases[1] or (
        biases[0] is not None and biases[1] is not None and torch.equal(biases[0], biases[1])
    )
    return same_bias and torch.equal(ours.weight, theirs.weight)
