"""Which tensors a deposit has, and of which sizes: what follows from its manifest and masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.known import family_of, made_backbone, sharing_of
from mdl_nas_mm.elastic.plain import without_memory
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import Layout, Owners
from mdl_nas_mm.spec.owners import ALL, owners_of
from mdl_nas_mm.spec.spec import MAX_BLOCKS
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.process_wide import process_wide

from .budget import BYTES_A_BLOCK, Budget, check_history
from .regions import Region, region_of
from .segments import Segments, lay_out
from .size_limit import SizeLimit


@dataclass(frozen=True)
class Structure:
    """Where every weight of a deposit's backbones lies.

    Attributes:
        layout: of the first batch.
        regions: label -> what the task uses, also of removed tasks on which segments depend.
        segments: all of them, stored or not.
    """

    layout: Layout
    sharing: Sharing
    regions: dict[str, Region]
    segments: Segments

    @classmethod
    def of(
        cls, manifest: Mapping, masks: Mapping[str, np.ndarray], budget: Budget | None = None
    ) -> Structure:
        """Derives it; builds no weights.

        Args:
            manifest: the manifest of a deposit, as decoded.
            masks: label -> bits, one a channel, of the layers under the mask policy.
            budget: of what may be made; without it, whatever there is.

        Raises:
            ValueError: the manifest describes nothing that can be.
        """
        sharing = sharing_of(manifest['backbone'])
        check_history(manifest['history'])
        layouts, batches, regions = [], [], {}
        for batch in manifest['history']:
            backbone = batch_backbone(manifest['backbone'], batch['regions'], budget)
            layouts.append(backbone.layout)
            known, base = set(regions), batch['base_segments']
            for segment in base:
                if not known.issuperset(Owners.read(segment).named):
                    raise ValueError(f'history: {segment!r} is no earlier segment')
            own = {
                label: _region(label, region, backbone, sharing, masks, base, budget)
                for label, region in batch['regions'].items()
            }
            regions.update(own)
            batches.append(tuple(own.values()))
        if not layouts:
            raise ValueError('history is empty')
        return cls(layouts[0], sharing, regions, lay_out(batches, budget))

    def stored_sizes(self, segments: Collection[str]) -> tuple[int, dict[str, int]]:
        """Elements in segments: of shared weights, and by owners, as ``a+b``, of those of some."""
        sizes: dict[Owners, int] = {}
        for (name, _), blocks in self.segments.blocks.items():
            found = sum(block.size for block in blocks if block.segment in segments)
            if found:
                owners = owners_of(name)
                sizes[owners] = sizes.get(owners, 0) + found
        shared = sizes.pop(ALL, 0)
        return shared, {owners.label: size for owners, size in sizes.items()}

    @cached_property
    def scores(self) -> dict[str, int]:
        """State-dict prefix of a layer under the mask policy -> its scores."""
        return {
            use.layer: use.groups * use.max_channels
            for use in self.layout.uses(self.layout.space.largest())
            if self.sharing[use.role].has_scores
        }

    def row_counts(self) -> dict[str, int]:
        """Weight that several tasks may use -> its rows."""
        return {
            name: len(part.rows)
            for region in self.regions.values()
            for (name, _), part in region.parts.items()
        }


def _region(
    label: str,
    region: Mapping,
    backbone: ElasticBackbone,
    sharing: Sharing,
    masks: Mapping,
    earlier: list[str],
    budget: Budget | None,
) -> Region:
    layout, sets = backbone.layout, backbone.owner_sets()
    try:
        spec = layout.space.read(region['spec'])
        return region_of(label, spec, layout, sharing, masks.get(label), sets, earlier, budget)
    except ValueError as error:
        raise ValueError(f'region {label!r}: {error}') from None


def batch_backbone(
    config: Mapping, regions: Mapping[str, Mapping], budget: Budget | None = None
) -> ElasticBackbone:
    """A backbone without weights that has just the tasks of one batch.

    Args:
        config: of the supernet's backbone.
        regions: label -> its ``spec`` and ``settings``.
        budget: of what may be made; without it, whatever there is.
    """
    # What comes after a dot tells a label from one of an earlier task of the name.
    settings = {label.partition('.')[0]: region['settings'] for label, region in regions.items()}
    config = dict(config, sharing=None, tasks=tuple(settings), task=None, arch=None, init_cfg=None)
    family = family_of(config)
    for key in family.task_settings:
        values = {task: own.get(key) for task, own in settings.items()}
        if None not in values.values():
            config[key] = values
    blocks = family.space(config['space'], config).largest().depth
    if blocks > MAX_BLOCKS:
        raise ValueError(f'backbone: its space has {blocks} blocks, more than {MAX_BLOCKS}')
    if budget is None:
        return build_backbone(config)
    budget.take('blocks', blocks)
    with process_wide(), SizeLimit(budget.size, budget.size // BYTES_A_BLOCK, 'backbone'):
        return build_backbone(config)


def build_backbone(config: Mapping) -> ElasticBackbone:
    """Builds a registered elastic backbone without memory, on the meta device.

    Raises:
        ValueError: its ``type`` is none. mmengine would look for it among all that can be imported.
    """
    with task_scope('mdl_nas_mm'), without_memory():
        return made_backbone(config, 'backbone')
