"""Layers of upstream models that some tasks share in part, by output channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.spec.owners import SCORE
from mdl_nas_mm.utils.private import BatchNorm, hold_beside, let_go

from .base import SharingKind

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_NORMS = (BatchNorm, nn.GroupNorm, nn.LayerNorm)
# They use the weights of layers inside of them without calling these.
_REACHING = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def layers_by_channels(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Path of a layer -> its parameters, of those that can be shared by output channels.

    These are linear maps, convolutions and norms of single channels.
    """
    hidden = {
        inner
        for outer in module.modules()
        if isinstance(outer, _REACHING)
        for inner in outer.modules()
    }
    found = {}
    for path, layer in module.named_modules():
        names = tuple(name for name, _ in layer.named_parameters(recurse=False))
        if names and set(names) <= {'weight', 'bias'} and layer not in hidden and _fits(layer):
            found[path] = names
    return found


def _fits(layer: nn.Module) -> bool:
    if isinstance(layer, _NORMS):
        return all(parameter.dim() == 1 for parameter in layer.parameters())
    return isinstance(layer, _KINDS) and not (isinstance(layer, _TRANSPOSED) and layer.groups > 1)


class SharedRows:
    """How a layer is put together of the output channels that tasks share and those of its own.

    The layer of a task stays what upstream has made, with the task's own weights. While it runs,
    its attributes of their names are what the sharing policy merges of these and the shared ones.

    Args:
        held: a layer that has the shared weights, and gets what the policy learns beside them.
        names: of the parameters, the weight before the bias.
        policy: has shared and specific weights.
        share_ratio: of the output channels.

    Raises:
        ValueError: the policy's weights are of other shapes than the layer's.
    """

    def __init__(
        self, held: nn.Module, names: Sequence[str], policy: SharingKind, share_ratio: float
    ) -> None:
        self.held, self.names = held, tuple(names)
        self.policy, self.share_ratio = policy, share_ratio
        # The weights of a transposed convolution begin with its inputs.
        self.dims = {n: int(n == 'weight' and isinstance(held, _TRANSPOSED)) for n in names}
        first = self.names[0]
        self.channels = int(getattr(held, first).shape[self.dims[first]])
        shapes = {n: (self.channels, *self._rows(n, getattr(held, n)).shape[2:]) for n in names}
        beside = dict(policy.shared_shapes(shapes))
        common = {name: beside.pop(name, None) for name in shapes}
        if not common == policy.specific_shapes(shapes) == shapes:
            raise ValueError(
                f'sharing policy {policy.type!r}: its weights have other shapes than those of '
                f'{type(held).__name__}, a layer of upstream'
            )
        self.learned: dict[str, nn.Parameter] = {
            name: nn.Parameter(policy.initial(name, shape)) for name, shape in beside.items()
        }
        self.hold(held)

    def hold(self, held: nn.Module) -> None:
        """Has the shared weights in another layer, which was put in the place of the former."""
        self.held = held
        for name, parameter in self.learned.items():
            held.register_parameter(name, parameter)

    def attach(self, layer: nn.Module) -> None:
        """Makes a task's layer compute with the merged weights; again makes no difference."""
        if not hasattr(layer, 'shared_rows'):
            layer.register_forward_pre_hook(_begin)
            layer.register_forward_hook(_end, always_call=True)
        hold_beside(layer, 'shared_rows', self)

    def merged(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name -> weight, merged of the shared and a task's own one."""
        scores = self.learned.get(SCORE)
        if scores is not None:
            # Where a model is only counted, it alone has values.
            scores = scores.to(getattr(self.held, self.names[0]).device)
        choice = self.policy.choose(self.channels, 1, self.share_ratio, scores)
        found = {}
        for name, weight in own.items():
            shared, specific = (self._rows(name, w) for w in (getattr(self.held, name), weight))
            rows = self.policy.merge(shared, specific, shared.shape[1:], choice)
            dim = self.dims[name]
            whole = weight.transpose(0, dim).shape
            found[name] = rows.reshape(whole).transpose(0, dim)
        return found

    def shared(self) -> np.ndarray:
        """Boolean (channels,): which output channels are shared, by the present scores."""
        score = self.learned.get(SCORE)
        values = None if score is None else score.detach().float().cpu().numpy()
        return self.policy.shared_channels(self.share_ratio, self.channels, 1, values)[0]

    def sizes(self) -> tuple[int, int]:
        """Elements of the shared output channels, and of those that are a task's own."""
        total = sum(getattr(self.held, name).numel() for name in self.names)
        shared = total // self.channels * int(self.shared().sum())
        return shared, total - shared

    def mask(self, name: str, channels: np.ndarray) -> Tensor:
        """Boolean, of the shape of a parameter: which elements are of the given channels."""
        weight = getattr(self.held, name)
        chosen = torch.from_numpy(channels.copy()).to(weight.device)
        shape = [1] * weight.dim()
        shape[self.dims[name]] = -1
        return chosen.view(shape).expand_as(weight)

    def cut(self, name: str, weight: Tensor, channels: np.ndarray) -> Tensor:
        """A parameter's elements of the given channels."""
        chosen = torch.from_numpy(np.flatnonzero(channels)).to(weight.device)
        return weight.index_select(self.dims[name], chosen)

    def _rows(self, name: str, weight: Tensor) -> Tensor:
        """(1, channels[, columns]), as the policies take weights."""
        rows = weight.transpose(0, self.dims[name])[None]
        return rows.flatten(2) if rows.dim() > 3 else rows


def _begin(layer: nn.Module, _: tuple) -> None:
    rows = _rows_of(layer)
    own = {name: getattr(layer, name) for name in rows.names}
    for name, weight in rows.merged(own).items():
        hold_beside(layer, name, weight)


def _end(layer: nn.Module, *_: object) -> None:
    for name in _rows_of(layer).names:
        let_go(layer, name)


def _rows_of(layer: nn.Module) -> SharedRows:
    return vars(layer)['shared_rows']
