"""Elastic Swin transformer with decoders, of which each task takes the maps of some cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as checkpointing
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone, check_sizes, of_task
from mdl_nas_mm.elastic.layers import ElasticLayerNorm
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.sharing import AllShared
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.trust.values import plain

from ..swin.model import ElasticSwinStage
from ..swin.patch_merging import ElasticPatchMerging
from ..swin.shape import NORM_EPS
from ..transformer.dimensions import derive_head_dim
from ..transformer.patch_embed import ElasticPatchEmbed
from .cell import ElasticDecoderCell, cell_blocks
from .dimensions import CellSpec, cells_of, restrict
from .family import SWIN_UNET
from .layout import SwinUNetLayout
from .shape import SwinUNetShape, decoder_key, module_of, norm_of
from .skeletons import (
    CELLS,
    Skeleton,
    in_order,
    predecessor,
    read_skeletons,
    with_predecessors,
)
from .spaces import skeletons_by_task


@MODELS.register_module()
class ElasticSwinUNet(ElasticBackbone):
    """Swin encoder with a decoder behind each deeper level, whose cells choose their sizes.

    The supernet of AutoTaskFormer (Sections 3.2 and 3.3). A task is given the maps of the cells in
    which its skeletons end, each padded with zeros to the widest embedding of its cell. Only the
    cells that any skeleton needs are built, and only those that the task needs are run, each once.

    Norms stand before the attention and the feed-forward network, as in Swin. The paper's text has
    norms behind the residual connections too, which ``post_norm=True`` adds; its count of 62.2 M
    parameters is met without them (62.21 M, with them 62.26 M), and published Swins have none.

    Args:
        space, sharing, tasks, arch, task: see ``ElasticPart``; a stage of the space for each
            level, which all of its cells have, or one for each cell.
        skeletons: ``'single-scale'``, ``'multi-scale'`` or a list of names such as ``'d3.1'``; or
            task -> these. Where no task is active, it returns the maps of all of them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        head_dim: width of a head; None for the widest embedding over the most heads.
        qkv_bias: whether q, k and v have a bias.
        post_norm: whether the sums are normalised too.
        skip_connections: whether a decoder's cell adds a linear map of the encoder's map of its
            size to the upsampled one, as Swin-Unet's concatenation does; the paper has none.
        out_channels: channels of each cell's map, in the order of ``CELLS``; by default the
            widest embeddings.
        drop_path_rate: stochastic depth of the block that is farthest from the images, linearly
            less before it.
        with_cp: recompute blocks in the backward pass instead of keeping their activations.
        init_cfg: see ``ElasticPart``.
    """

    family = SWIN_UNET
    # Cells have a dot in their names.
    file_rules = {**ElasticBackbone.file_rules, 'skeletons': plain}

    def __init__(
        self,
        space: str | Sequence[Mapping] | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        skeletons: str | Sequence[str] | Mapping[str, Any] = 'single-scale',
        patch_size: int = 4,
        in_channels: int = 3,
        head_dim: int | None = 32,
        qkv_bias: bool = True,
        post_norm: bool = False,
        skip_connections: bool = False,
        out_channels: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: Mapping | None = None,
    ) -> None:
        settings = dict(skeletons=skeletons)
        super().__init__(space, sharing, tasks, arch, task, init_cfg, settings=settings)
        check_sizes(patch_size=patch_size, head_dim=head_dim)
        self.skeletons, self.with_cp = skeletons, with_cp
        by_task = skeletons_by_task(skeletons)
        for name in self.tasks:
            of_task(skeletons, name, 'skeletons')
        ends = {cell for own in by_task.values() for each in own for cell in each.outputs}
        shape = SwinUNetShape(
            patch_size=patch_size,
            in_channels=in_channels,
            head_dim=derive_head_dim(self.space, head_dim),
            qkv_bias=qkv_bias,
            post_norm=post_norm,
            skip_connections=skip_connections,
            out_cells=in_order(ends),
        )
        layout = SwinUNetLayout(self.space, shape)
        self.layout, self.largest = layout, layout.largest
        widths = [stage.embed_dim for stage in self.largest.values()]
        self.out_channels = tuple(widths if out_channels is None else out_channels)
        if len(self.out_channels) != len(widths) or any(map(int.__lt__, self.out_channels, widths)):
            raise ValueError(f'out_channels {out_channels} are not at least the widest, {widths}')
        self._build(drop_path_rate)

    def _build(self, drop_path_rate: float) -> None:
        """The modules of the largest architecture; those of the encoder are named as Swin's."""
        shape, largest = self.shape, self.largest
        self.patch_embed = ElasticPatchEmbed(
            shape.in_channels, largest['e1'].embed_dim, shape.patch_size, NORM_EPS
        )
        self.stages, self.decoders = nn.ModuleList(), nn.ModuleDict()
        last = max(self._farthest - 1, 1)
        cells = cells_of(self.space.largest())
        for cell in cells:
            stage, first = largest[cell], self._blocks_before(cell)
            rates = [drop_path_rate * (first + i) / last for i in range(len(stage.blocks))]
            blocks = cell_blocks(stage, shape, self.sharing, self.tasks, rates)
            has_norm = cell in shape.out_cells
            if cell.startswith('e'):
                after = f'e{int(cell[1]) + 1}'
                merging = None
                if after in cells:
                    merging = ElasticPatchMerging(stage.embed_dim, largest[after].embed_dim)
                self.stages.append(ElasticSwinStage(blocks, merging))
                if has_norm:
                    norm = ElasticLayerNorm(stage.embed_dim, AllShared(), (), NORM_EPS)
                    self.add_module(norm_of(cell), norm)
            else:
                before = largest[cast(str, predecessor(cell))].embed_dim
                beside = shape.skipped_from(cell)
                skipped = largest[beside].embed_dim if beside else 0
                module = ElasticDecoderCell(before, stage.embed_dim, blocks, has_norm, skipped)
                self.decoders[decoder_key(cell)] = module

    def _blocks_before(self, cell: str) -> int:
        """How many blocks of the largest architecture lie between the images and a cell."""
        before = (each for each in with_predecessors([cell]) if each != cell)
        return sum(len(self.largest[each].blocks) for each in before)

    @property
    def _farthest(self) -> int:
        """Blocks on the longest path of the largest architecture."""
        cells = cells_of(self.space.largest())
        return max(self._blocks_before(cell) + len(self.largest[cell].blocks) for cell in cells)

    def skeletons_of(self, task: str | None) -> tuple[Skeleton, ...]:
        """The skeletons of a task; without one, those of all tasks."""
        if task is None and isinstance(self.skeletons, Mapping):
            every = (each for own in skeletons_by_task(self.skeletons).values() for each in own)
            return tuple(dict.fromkeys(every))
        return read_skeletons(of_task(self.skeletons, task, 'skeletons'))

    def output_cells(self, task: str | None) -> tuple[str, ...]:
        """The cells whose maps a task is given, in the order of ``CELLS``."""
        return in_order({cell for each in self.skeletons_of(task) for cell in each.outputs})

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's maps has; those beyond are padding."""
        stages = dict(zip(CELLS, spec.stages))
        return tuple(stages[cell].embed_dim for cell in self.output_cells(task))

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a backbone of this class that gives what one task's subnet gives here."""
        names = [skeleton.name for skeleton in self.skeletons_of(task)]
        return dict(skeletons=names, out_channels=self.out_channels)

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        wide, stages = dict(zip(CELLS, self.out_channels)), dict(zip(CELLS, self.arch.stages))
        return [(wide[cell], stages[cell].embed_dim) for cell in self.output_cells(self.task)]

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        patch = self.shape.patch_size
        widest = max(b.window_side for stage in self.largest.values() for b in stage.blocks)
        # Whole windows of the largest side at 1/32.
        side = 8 * patch * widest
        return [(side, side), (side + patch + 1, side + 1)]

    def depth_of(self, name: str) -> int | None:
        """How many blocks a parameter's own one is from the images; None for the norms of maps.

        A merging of patches counts to the block before it, as does an upsampling.
        """
        cell = next((c for c in CELLS if name.startswith(f'{module_of(c)}.')), None)
        if cell is None:
            return 0 if name.startswith('patch_embed.') else None
        kind, index = name.removeprefix(f'{module_of(cell)}.').split('.')[:2]
        before = self._blocks_before(cell)
        if kind == 'blocks':
            return before + int(index) + 1
        if kind in ('upsample', 'skip'):
            return before
        return before + len(self.largest[cell].blocks) if kind == 'downsample' else None

    def depth_count(self) -> int:
        """Blocks on the longest path of the deepest architecture."""
        return self._farthest

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Maps of images (B, C, H, W), one for each of ``output_cells``: (B, widest, h, w)."""
        stages = self._stages(task, spec)
        maps: dict[str, Tensor] = {}
        for cell in stages:
            maps[cell] = self._run(cell, x, maps.__getitem__, task, stages)
        return tuple(self._output(maps[cell], cell) for cell in self.output_cells(task))

    def forward_shared(
        self, x: Tensor, task: str | None, spec: SubnetSpec, shared: SharedPass
    ) -> tuple[Tensor, ...]:
        """As ``forward_subnet``; of what other tasks have run, each cell is known."""
        stages = self._stages(task, spec)

        def key(cell: str) -> tuple:
            path = tuple(stages[each] for each in with_predecessors([cell]))
            return type(self), cell, path, self.out_channels

        def run(cell: str, images: Tensor) -> Tensor:
            def compute(images: Tensor) -> tuple[Tensor]:
                return (self._run(cell, images, lambda c: run(c, images), task, stages),)

            return shared.features(key(cell), images, compute)[0]

        def output(cell: str) -> Tensor:
            normed = (*key(cell), norm_of(cell))
            return shared.features(normed, x, lambda x: (self._output(run(cell, x), cell),))[0]

        return tuple(output(cell) for cell in self.output_cells(task))

    def needed(self, tasks: Sequence[str | None], spec: SubnetSpec) -> SubnetSpec:
        """An architecture with just the cells that skeletons of some tasks pass through."""
        return restrict(spec, {cell for task in tasks for cell in self._stages(task, spec)})

    def _stages(self, task: str | None, spec: SubnetSpec) -> dict[str, CellSpec]:
        """The cells that a task needs, in the order in which they are run, and their sizes."""
        self.space.check(spec)
        stages: dict[str, CellSpec] = dict(zip(CELLS, spec.stages))
        needed = with_predecessors(self.output_cells(task))
        for cell in needed:
            if not stages[cell].blocks:
                raise ValueError(
                    f'architecture: it has no cell {cell!r}, which skeletons of task {task!r} need'
                )
        return {cell: stages[cell] for cell in needed}

    def _run(
        self,
        cell: str,
        images: Tensor,
        map_of: Callable[[str], Tensor],
        task: str | None,
        stages: Mapping[str, CellSpec],
    ) -> Tensor:
        """A cell's map (B, H, W, C), of those that it comes from; of images for the first."""
        source, beside = predecessor(cell), self.shape.skipped_from(cell)
        if source is None:
            x, grid = self.patch_embed(images, stages[cell].embed_dim)
            x = x.unflatten(1, grid)
        elif cell.startswith('e'):
            merging = self.get_submodule(f'{module_of(source)}.downsample')
            x = merging(map_of(source), stages[cell].embed_dim)
        else:
            size = self.shape.map_of(cell, (images.shape[2], images.shape[3]))
            upsample = self.get_submodule(f'{module_of(cell)}.upsample')
            x = upsample(map_of(source), stages[cell].embed_dim, size)
        if beside is not None:
            skip = self.get_submodule(f'{module_of(cell)}.skip')
            x = x + skip(map_of(beside), task, stages[cell].embed_dim, 1.0)
        modules = cast(Iterable[nn.Module], self.get_submodule(f'{module_of(cell)}.blocks'))
        for module, block in zip(modules, stages[cell].blocks):
            args = (x, task, block, False)
            if self.with_cp and torch.is_grad_enabled():
                x = cast(Tensor, checkpointing.checkpoint(module, *args, use_reentrant=False))
            else:
                x = module(*args)
        return x

    def _output(self, x: Tensor, cell: str) -> Tensor:
        x = self.get_submodule(norm_of(cell))(x, None, 1.0)
        x = F.pad(x, (0, self.out_channels[CELLS.index(cell)] - x.shape[-1]))
        return x.permute(0, 3, 1, 2).contiguous()
