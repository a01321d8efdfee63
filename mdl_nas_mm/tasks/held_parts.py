"""What tasks share of a part, inside of a joint model."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from mdl_nas_mm.sharing.shared_rows import SharedRows
from mdl_nas_mm.utils.private import give_up_parameter, hold_beside

from .shared_parts import SharedPart, common_parameters, layers_in_part, wholly_shared


class HeldPart:
    """The weights that tasks have together in a module, wholly or by output channels.

    Args:
        part: what it is of the tasks' models.
        models: all tasks of the part -> upstream model.
        first: the first of its tasks that is here, whose weights they begin as.

    Attributes:
        held: a module that owns what is shared, under the names that the tasks' modules have.
        names: of what is shared, wholly or in part, in the tasks' models.
        rows: path of a layer in the module -> how it is put together, of those shared in part.

    Raises:
        ValueError: see ``common_parameters`` and ``layers_in_part``.
    """

    def __init__(self, part: SharedPart, models: Mapping[str, nn.Module], first: str) -> None:
        common, module = common_parameters(part, models), models[first].get_submodule(part.module)
        layers = layers_in_part(part, module, common)
        self.part, self.held = part, _holder(module, common)
        self.rows: dict[str, SharedRows] = {}
        for path, leaves in layers.items():
            layer = self.held.get_submodule(path)
            for leaf in leaves:
                # The first task keeps the other one, as its own.
                own = getattr(layer, leaf)
                value = own.detach().clone()
                copied = nn.Parameter(value, requires_grad=own.requires_grad)
                layer.register_parameter(leaf, copied)
            assert part.policy is not None and part.share_ratio is not None
            self.rows[path] = SharedRows(layer, leaves, part.policy, part.share_ratio)
        self.names = [f'{part.module}.{name}' for name in common]
        if part.of is not None:
            self.held.requires_grad_(False)
        self._wholly = wholly_shared(common, layers)

    @property
    def label(self) -> str:
        """Of its owners."""
        return self.part.owners.label

    def path_of(self, path: str) -> str:
        """Where a layer of the module is in the tasks' models."""
        return f'{self.part.module}.{path}' if path else self.part.module

    def use(self, held: nn.Module, models: Mapping[str, nn.Module]) -> None:
        """Makes models use what is shared; also anew, where modules were replaced.

        Args:
            held: the module that has the shared weights now.
            models: the tasks that are here -> upstream model.
        """
        self.held = held
        for path, rows in self.rows.items():
            rows.hold(held.get_submodule(path))
        for task in self.part.tasks:
            if task in models:
                module = models[task].get_submodule(self.part.module)
                _use_held(module, held, self._wholly)
                for path, rows in self.rows.items():
                    rows.attach(module.get_submodule(path))

    @torch.no_grad()
    def begin_as(self, model: nn.Module) -> None:
        """Gives what is shared in part the weights of a task's model."""
        module = model.get_submodule(self.part.module)
        for path, rows in self.rows.items():
            for name in rows.names:
                own = getattr(module.get_submodule(path), name)
                getattr(rows.held, name).copy_(own)

    @torch.no_grad()
    def take_over(self, weights: Mapping[str, Tensor]) -> None:
        """Gives what is shared the weights of a task of a base.

        Args:
            weights: entries of its upstream model.

        Raises:
            ValueError: one is missing, or of another shape.
        """
        for name in self.names:
            target = self.held.get_parameter(name.removeprefix(f'{self.part.module}.'))
            value = weights.get(name)
            if value is None or value.shape != target.shape:
                found = 'is missing' if value is None else f'has shape {tuple(value.shape)}'
                raise ValueError(
                    f'parts.{self.part.name}: {name!r} of task {self.part.of!r} of the base '
                    f'{found}, task {self.part.tasks[0]!r} has {tuple(target.shape)}'
                )
            target.copy_(value)


def _holder(module: nn.Module, names: Collection[str]) -> nn.Module:
    """A module that owns some of a module's parameters, under their names, and nothing else.

    Its submodules are of the same classes, since an optimizer's settings may depend on these. It
    is not to be called.
    """
    held = copy.deepcopy(module)
    for name, parameter in module.named_parameters():
        path, _, leaf = name.rpartition('.')
        held.get_submodule(path).register_parameter(leaf, parameter if name in names else None)
    for name, _ in module.named_buffers():
        path, _, leaf = name.rpartition('.')
        held.get_submodule(path).register_buffer(leaf, None)
    return held


def _use_held(module: nn.Module, held: nn.Module, names: Collection[str]) -> None:
    """Makes a module use parameters of a ``_holder``, which it then does not own itself."""
    own = dict(module.named_parameters())
    for name, parameter in held.named_parameters():
        if name not in names:
            continue
        path, _, leaf = name.rpartition('.')
        target = module.get_submodule(path)
        if name in own:
            give_up_parameter(target, leaf)
        hold_beside(target, leaf, parameter)


def put_submodule(module: nn.Module, path: str, child: nn.Module) -> None:
    """Puts a module where ``get_submodule`` finds it, inside of modules that have nothing else."""
    *outer, last = path.split('.')
    for name in outer:
        if not hasattr(module, name):
            module.add_module(name, nn.Module())
        module = getattr(module, name)
    module.add_module(last, child)
