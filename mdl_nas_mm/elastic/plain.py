"""A plain part: one architecture, one task's weights, nothing to slice or put together."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mdl_nas_mm.sharing import TaskParameters
from mdl_nas_mm.spec import ParamUse, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layout import used_by
from mdl_nas_mm.utils.private import replace_buffer

from .family import PartFamily
from .part import ElasticPart

_Part = TypeVar('_Part', bound=ElasticPart)
_FILLING = ('uniform_', 'normal_', 'erfinv_', 'mul_', 'add_', 'clamp_', 'fill_', 'zero_', 'copy_')


class _NoValues(TorchFunctionMode):
    """Does not compute what tensors without memory would be initialised with; it takes longer
    than all else."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, '__name__', '') in _FILLING and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def without_memory() -> Generator[None]:
    """What is built inside the block has parameters without memory, on the meta device."""
    with torch.device('meta'), _NoValues():
        yield


def plain_config(
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    spec: SubnetSpec,
    family: PartFamily,
    shape: Any,
) -> dict[str, Any]:
    """The config of a plain part.

    Args:
        config: of the supernet's part.
        settings: see ``ElasticPart.settings_of``.
        spec: the one architecture of the plain part.
        family, shape: of the supernet; what follows from its whole space has to be told.
    """
    own = dict(
        space=SearchSpace.fixed(spec, family.dimensions).to_config(),
        sharing=None,
        tasks=(),
        task=None,
        arch=None,
        init_cfg=None,
    )
    return {**config, **settings, **own, **family.derived_settings(shape)}


@torch.no_grad()
def plain_part(
    supernet: _Part, config: Mapping[str, Any], task: str | None, spec: SubnetSpec
) -> _Part:
    """A copy of one task's subnet of an elastic part as a plain one, in eval mode.

    The weights are put together here, once; no call of the copy does it again. The copy shares no
    memory with the supernet and has nothing to train, so it stays what the subnet is now.

    Args:
        supernet: the part, such as a backbone.
        config: that it was built from.
        task: whose weights and settings.
        spec: its architecture.

    Raises:
        ValueError: the supernet's layout does not know one of its parameters (names it), or it has
            no weights of the task.
    """
    settings = supernet.settings_of(task, spec)
    config = plain_config(config, settings, spec, supernet.family, supernet.shape)
    for key in ('type', '_scope_'):
        config.pop(key, None)
    with without_memory():
        plain = type(supernet)(**config)
    fill_plain(plain, supernet, task, spec)
    return plain


def share_parameters(part: nn.Module, known: dict[str, nn.Parameter]) -> None:
    """Makes a plain part use the parameters of others that have the same weights.

    Args:
        part: whose parameters are replaced by known ones of their names.
        known: name -> parameter; those that it did not have are entered.
    """
    for name, parameter in list(part.named_parameters()):
        if known.setdefault(name, parameter) is not parameter:
            set_parameter(part, name, known[name])


@torch.no_grad()
def fill_plain(
    plain: ElasticPart, supernet: ElasticPart, task: str | None, spec: SubnetSpec
) -> None:
    """Gives a plain part, built without memory, what one task's subnet uses; see ``plain_part``."""
    weights = _weights_of(supernet, task, spec)
    for name, parameter in list(plain.named_parameters()):
        if name not in weights:
            raise ValueError(f'{type(supernet).__name__}: its layout does not name {name!r}')
        weight = weights[name].reshape(parameter.shape).clone()
        set_parameter(plain, name, nn.Parameter(weight, requires_grad=False))
    modules = dict(plain.named_modules())
    for name, buffer in supernet.named_buffers():
        path, _, leaf = name.rpartition('.')
        if path in modules:
            own = getattr(modules[path], leaf)
            used = tuple(map(slice, own.shape)) if own.dim() == buffer.dim() else ()
            replace_buffer(modules[path], leaf, buffer[used].clone())
    plain.eval()


def _weights_of(supernet: ElasticPart, task: str | None, spec: SubnetSpec) -> dict[str, Tensor]:
    """Parameter name -> what a subnet uses of it; may be views of the supernet's.

    Of a layer's parameters ``uses`` names the weight first, whose columns are more than the bias's.
    """
    modules, parameters = dict(supernet.named_modules()), dict(supernet.named_parameters())
    uses: dict[str, list[ParamUse]] = {}
    for use in used_by(supernet.layout.uses(spec), task):
        uses.setdefault(use.name, []).append(use)
    weights: dict[str, Tensor] = {}
    for name, runs in uses.items():
        use = runs[0]
        layer = modules.get(use.layer)
        if not isinstance(layer, TaskParameters):
            whole = parameters[name].view(use.groups, use.max_channels, use.max_columns)
            parts = [whole[:, : r.channels, r.first_column :][..., : r.columns] for r in runs]
            weights[name] = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        elif name not in weights:
            columns = [(run.first_column, run.columns) for run in runs]
            columns = use.columns if len(runs) == 1 else columns
            taken = layer.take(task, use.channels, columns, use.share_ratio)
            weights.update(zip((f'{use.layer}.{leaf}' for leaf in layer.names), taken))
    return weights


def statistics_of(module: nn.Module) -> dict[str, Tensor]:
    """State-dict key -> running statistics of the batch norms, where there are any."""
    parameters = {name for name, _ in module.named_parameters()}
    return {key: value for key, value in module.state_dict().items() if key not in parameters}


def set_parameter(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Puts a parameter in the place of another."""
    path, _, leaf = name.rpartition('.')
    module.get_submodule(path).register_parameter(leaf, parameter)
