"""What slimmable heads have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol

from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticPart
from mdl_nas_mm.elastic.active import active
from mdl_nas_mm.elastic.family import NoStockClassError, PartFamily
from mdl_nas_mm.elastic.head_times import TimedLayer
from mdl_nas_mm.spec import PartSpec, SubnetSpec
from mdl_nas_mm.utils.private import FeaturesOfHead, decoded_maps

from ..slimmable.dimensions import SLIMMABLE
from ..slimmable.family import completed_by
from ..slimmable.layers import check_norm, make_conv, make_norm
from ..slimmable.layout import SlimLayout, SlimShape
from ..slimmable.spaces import SPACES

CLASSES = 'classes'


class HeadShape(SlimShape, Protocol):
    """What is fixed in all architectures of a slimmable head."""

    def given(self, inputs: Sequence[int]) -> Mapping[str, int]:
        """Name -> channels at ratio 1 of widths, where the backbone's maps have so many in use."""


def head_family(name: str, shape: Any) -> PartFamily:
    """The family of heads with the layers of a shape."""
    return PartFamily(
        name=name,
        dimensions=SLIMMABLE,
        spaces=SPACES,
        completed=completed_by(shape),
        stock_part=_stock_part,
    )


class SlimHead(ElasticPart):
    """A head of upstream's, ``class ElasticHead(SlimHead, UpstreamHead)``, with its arguments.

    Attributes:
        shape_class: what is fixed; ``of`` reads it from the arguments.
        upstream: name and library of the class that it is with equal ratios.
        channels_key: upstream's argument for the channels of all layers; None where it has none.
        has_list: whether ``in_channels`` has one for each of several maps.
        is_single: whether it has just one architecture.
    """

    shape_class: ClassVar[Any]
    upstream: ClassVar[tuple[str, str]]
    channels_key: ClassVar[str | None] = None
    file_rules = {**ElasticPart.file_rules, 'settings': 'is of a class alone'}

    def __init__(self, multiple: int = 1, **kwargs: Any) -> None:
        settings = dict(kwargs, multiple=multiple)
        shape = self.shape_class.of(settings)
        super().__init__(settings=settings, **kwargs)
        self.has_list = isinstance(kwargs['in_channels'], Sequence)
        self.is_single = self.space.smallest() == self.space.largest()
        self.layout = self.slim = SlimLayout(self.space, shape)

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """See ``ElasticPart``: it is as wide as what it is given."""
        if not isinstance(spec, PartSpec):
            return {}
        given = list(self.shape.given(spec.inputs).values())
        return dict(in_channels=given if self.has_list else given[0])

    def flops_on(self, inputs: Any) -> Callable[[SubnetSpec], int]:
        """See ``ElasticPart``: maps inside are as large for all architectures."""
        modules = [self.get_submodule(layer.name) for layer in self.shape.layers()]
        pixels = dict.fromkeys(modules, 0)

        def measure(module: nn.Module, _: tuple, output: Tensor) -> None:
            pixels[module] = output.shape[2:].numel()

        hooks = [module.register_forward_hook(measure) for module in modules]
        head: Any = self
        try:
            head(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return partial(self.slim.products, pixels=list(pixels.values()))

    def timed_layers(self, spec: SubnetSpec) -> list[TimedLayer]:
        """See ``ElasticPart``."""
        counts = self.slim.counts(spec)
        return [
            TimedLayer(layer.name, sum(counts[name] for name in layer.reads), counts[layer.writes])
            for layer in self.shape.layers()
        ]

    def check_channels(self, given: int, used: int, expected: int) -> None:
        """Raises ValueError where a map has other channels than ``in_channels`` says.

        A head of just one architecture may take those in use alone: all others are zeros.
        """
        fits = used <= expected <= given if self.is_single else given == expected
        if not fits:
            raise ValueError(f'in_channels is {expected}, what it is given has {given} channels')

    def active_counts(self) -> dict[str, int]:
        """Width -> channels of the active architecture."""
        return self.slim.counts(self.chosen(active()).spec)


class SlimDecodeHead(FeaturesOfHead, SlimHead):
    """A decode head of mmseg's, made of ``ConvModule``."""

    channels_key = 'channels'

    def __init__(
        self,
        multiple: int = 1,
        init_cfg: Mapping | None = dict(type='Normal', std=0.01, override=dict(name='conv_seg')),  # noqa: B006
        **kwargs: Any,
    ) -> None:
        norm_cfg = kwargs.get('norm_cfg') or {}
        if norm_cfg:
            check_norm(norm_cfg)
        super().__init__(multiple, init_cfg=init_cfg, **kwargs)
        counts = self.slim.largest
        for layer in self.shape.layers():
            _put(self, layer.name, make_conv(layer, counts))
            if layer.norm:
                _put(self, layer.norm, make_norm(layer, counts, norm_cfg))

    def narrow_maps(self, inputs: Sequence[Tensor], counts: Mapping[str, int]) -> Tensor:
        """What it looks at (B, C, H, W): of the backbone's maps the channels in use.

        Raises:
            ValueError: see ``check_channels``.
        """
        maps, narrow = self.shape.maps, list(inputs)
        for name, i, channels in zip(maps.names, maps.index, maps.channels):
            self.check_channels(inputs[i].shape[1], counts[name], channels)
            narrow[i] = inputs[i][:, : counts[name]]
        return decoded_maps(self, narrow)

    def run(self, name: str, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """What one of its modules, a ``ConvModule``, makes of a map (B, C, H, W)."""
        module, layer = self.get_submodule(name), self.slim.layer(f'{name}.conv')
        assert isinstance(module, ConvModule)
        x = module.conv(x, counts[layer.writes], self.slim.runs(layer, counts))
        if module.with_norm:
            x = module.norm(x)
        return module.activate(x) if module.with_activation else x


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module in the place of another."""
    path, _, leaf = name.rpartition('.')
    root.get_submodule(path).add_module(leaf, module)


def _stock_part(part: Any, scope: str, config: Mapping) -> dict[str, Any]:
    """The config of upstream's own head, where all of its layers have the same channels."""
    name, library = part.upstream
    counts = part.slim.counts(part.arch)
    channels = {counts[width] for width in part.shape.widths()}
    if len(channels) > 1:
        raise NoStockClassError(f'{name} has one width, this one has {sorted(channels)}')
    (width,) = channels
    own = ('type', 'space', 'arch', 'sharing', 'tasks', 'task', 'part', 'multiple')
    found = {key: value for key, value in config.items() if key not in own}
    if part.channels_key is not None:
        found[part.channels_key] = width
    elif any(counts[each] != part.slim.whole(each) for each in part.shape.widths()):
        raise NoStockClassError(f'{name} takes all of its {part.in_channels} inputs, not {width}')
    return dict(found, type=name if scope == library else f'{library}.{name}')
