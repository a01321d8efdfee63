"""Any backbone of upstream's in a joint model: one architecture, all of it shared."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from mmengine.model import initialize
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.inherit import is_pretrained
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks.part_flops import counted
from mdl_nas_mm.tasks.scope import task_scope

from .family import UPSTREAM
from .layout import UpstreamLayout, UpstreamShape

# Blocks of a backbone are far fewer.
_MAX_RANGE = 2**12


@MODELS.register_module()
class UpstreamBackbone(ElasticBackbone):
    """A backbone of upstream's as it is, for joint training without a search, and deposits.

    All tasks share all of it, and get what its config says that it returns.

    Args:
        module: config of the backbone, whose type has the library in front: ``mmseg.ResNetV1c``.
            Its ``init_cfg`` says where its weights come from.
        space: ``'whole'``, the one architecture.
        sharing, tasks, arch, task, init_cfg: see ``ElasticPart``.

    Attributes:
        module_config: what was given as ``module``.

    Raises:
        ValueError: ``module`` names no library, or ``sharing`` shares less than all.
    """

    family = UPSTREAM

    def __init__(
        self,
        module: Mapping[str, Any],
        space: str | Mapping | Sequence[Mapping] | None = 'whole',
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        if sharing not in (None, 'AllShared'):
            raise ValueError(f'UpstreamBackbone: sharing is {sharing!r}, tasks share all of it')
        super().__init__(space, sharing, tasks, arch, task, init_cfg)
        self.module_config, self.module = module, _built(module)
        sizes = [(name, p.shape) for name, p in self.named_parameters()]
        shape = UpstreamShape(
            module.get('in_channels', 3),
            tuple((n, (s[0], s[1:].numel()) if s else (1, 1)) for n, s in sizes),
        )
        self.layout = UpstreamLayout(self.space, shape, partial(_flops, dict(module)))

    def init_weights(self) -> None:
        """By its own ``init_cfg`` alone, such as a base's, where there is one; else as upstream."""
        if self.is_init or not self.init_cfg or is_pretrained(self.init_cfg):
            super().init_weights()
            return
        initialize(self, self.init_cfg)
        self.is_init = True

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """What upstream's forward gives of images (B, C, H, W), as a tuple."""
        found = self.module(x)
        return (found,) if isinstance(found, Tensor) else tuple(found)

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels of the outputs."""
        return self._widths

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Nothing: its one config says all."""
        return {}

    def depth_of(self, name: str) -> int | None:
        """There is one block."""
        return 1

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """As upstream's own says it.

        Raises:
            ValueError: it does not say it.
        """
        module: Any = self.module
        # mmpretrain's ResNet looks for the names that it has in a model of its library.
        name = param_name.replace(f'{prefix}module.', 'backbone.', 1)
        try:
            if not hasattr(module, 'get_layer_depth'):
                raise NotImplementedError
            return module.get_layer_depth(name, 'backbone.')
        except NotImplementedError:
            raise ValueError(
                f'backbone.module: {self.module_config["type"]} does not say which layer a weight '
                'is of, as rates that decay layer by layer need; remove optim_wrapper.constructor'
            ) from None

    def map_widths(self) -> list[tuple[int, int]]:
        """Nothing is padded."""
        return [(width, width) for width in self._widths]

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images to try it with."""
        return [(64, 64), (96, 64)]

    @cached_property
    def _widths(self) -> tuple[int, ...]:
        """Of each output, by trying; on a copy, as batch norms would see the images."""
        module = copy.deepcopy(self.module)
        # Upstream's ``train`` need not return the module.
        module.eval()
        some = next(module.parameters())
        images = some.new_zeros(1, self.shape.in_channels, *self.trial_sizes()[0])
        with torch.no_grad():
            found = module(images)
        return tuple(x.shape[1] for x in ([found] if isinstance(found, Tensor) else found))


def _built(config: Mapping[str, Any]) -> nn.Module:
    """Upstream's backbone, on the device that is the default one."""
    config = dict(config)
    library, dot, _ = str(config.get('type')).partition('.')
    if not dot:
        raise ValueError(
            f'UpstreamBackbone: module.type is {config.get("type")!r}, expected one with the '
            "library in front, such as 'mmseg.ResNetV1c'"
        )
    with task_scope(library), _ReadableRanges():
        return ROOT_MODELS.build(copy.deepcopy(config))


class _ReadableRanges(TorchFunctionMode):
    """Has ranges in memory where nothing else is: constructors read drop path rates out of them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, is_range = kwargs or {}, getattr(func, '__name__', '') == 'linspace'
        found = func(*args, **kwargs)
        if is_range and found.is_meta and found.numel() < _MAX_RANGE:
            return func(*args, **dict(kwargs, device='cpu'))
        return found


def _flops(config: Mapping[str, Any], size: tuple[int, int]) -> int:
    with torch.device('meta'):
        module = _built(config)
        module.eval()
        images = torch.empty(1, config.get('in_channels', 3), *size)
    with torch.no_grad():
        return counted(module, images)[1]
