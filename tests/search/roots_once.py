"""Architectures of a backbone and a head, and a cost in which equal backbones count once."""

import numpy as np

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search.budget import smallest_sizes
from mdl_nas_mm.search.exact.choices import Costs
from mdl_nas_mm.spec import SearchSpace

ROOT = dict(embed_dim=(8, 12, 16), depth=(1, 2), num_heads=(1, 2), mlp_ratio=1, share_ratio=1)
HEAD = SearchSpace.from_config(
    dict(embed_dim=(4, 8, 16), depth=1, num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=1),
    TRANSFORMER,
)


def spaces_of(tasks):
    """Each task with a head of its own."""
    root = SearchSpace.from_config(ROOT, TRANSFORMER)
    return {task: root.with_parts({f'{task}.head': HEAD}) for task in tasks}


def size(stages):
    """Something that grows with every choice."""
    blocks = [block for stage in stages for block in stage.blocks]
    widths = sum(10 * stage.embed_dim for stage in stages)
    return widths + sum(7 * block.num_heads + 3 * block.mlp_ratio for block in blocks)


class RootsOnce:
    """Every backbone that any task has, once, and every head."""

    unit = 'things'

    def totals(self, joints):
        totals = []
        for joint in joints:
            roots = {spec.root: size(spec.root.stages) for spec in joint.values()}
            whole = sum(size(spec.stages) - roots[spec.root] for spec in joint.values())
            totals.append(whole + sum(roots.values()))
        return np.array(totals, np.int64)

    def floors(self, spaces):
        return {task: smallest_sizes(space) for task, space in spaces.items()}

    def split(self, specs):
        roots = list(dict.fromkeys(spec.root for group in specs.values() for spec in group))
        own = [np.array([size(s.stages) - size(s.root.stages) for s in g]) for g in specs.values()]
        shares = [np.array([[s.root == root for root in roots] for s in g]) for g in specs.values()]
        sizes = np.array([size(root.stages) for root in roots], np.float64)
        return Costs([o.astype(float) for o in own], [s.astype(float) for s in shares], sizes)
