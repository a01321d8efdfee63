"""Which reading of AutoTaskFormer's tree gives its published sizes.

    python benchmarks/tree_counts.py

They are 22.3 M and 6.2 G to 108.7 M and 24.7 G. Counts in closed form of the smallest architecture
of `autotaskformer-s` and the largest of `autotaskformer-b`: of images of 224 or 256 pixels, with
the space's windows or all of 7, with or without the products of the attention, without heads or
with those of sixteen tasks, FCNs of one 3 x 3 convolution to 256 channels on the map at 1/32.
Below, the unions of skeletons whose parameters are within 2 % of the published, the nearest
multiply-adds first.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from mdl_nas_mm.elastic.plain import without_memory
from mdl_nas_mm.families import ElasticSwinUNet
from mdl_nas_mm.families.swin_unet import CELLS, restrict
from mdl_nas_mm.families.swin_unet.skeletons import predecessor
from mdl_nas_mm.spec import SubnetSpec

# Space, end of it, millions of parameters, billions of multiply-adds.
PUBLISHED = (
    ('autotaskformer-s', 'smallest', 22.3, 6.2),
    ('autotaskformer-b', 'largest', 108.7, 24.7),
)
UNET = ('e1', 'e2', 'e3', 'e4', 'd4.3', 'd4.2', 'd4.1')
TASKS, HEAD, TOLERANCE = 16, 256, 0.02


def unions() -> list[tuple[str, ...]]:
    """All sets of cells with their predecessors."""
    found = []
    for kept in product((False, True), repeat=len(CELLS)):
        cells = tuple(cell for cell, keep in zip(CELLS, kept) if keep)
        if cells and all(predecessor(cell) in (None, *cells) for cell in cells):
            found.append(cells)
    return found


def with_windows(spec: SubnetSpec, side: int | None) -> SubnetSpec:
    """The architecture with all windows of one side."""
    if side is None:
        return spec
    stages = [
        replace(stage, blocks=tuple(replace(block, window_side=side) for block in stage.blocks))
        for stage in spec.stages
    ]
    return SubnetSpec(tuple(stages))


def head_flops(spec: SubnetSpec, side: int) -> int:
    """Multiply-adds of the heads of all tasks on the last map of the encoder."""
    width = spec.stages[CELLS.index('e4')].embed_dim
    return TASKS * (side // 32) ** 2 * 9 * width * HEAD


def main() -> None:
    print(
        '| image | windows | attention products | heads | smallest S: 22.3 M, 6.2 G | '
        "largest B: 108.7 M, 24.7 G | largest B, Swin-Unet's cells |"
    )
    print('|---' * 7 + '|')
    with without_memory():
        trees = {space: ElasticSwinUNet(space) for space, *_ in PUBLISHED}
    ends = {s: getattr(trees[s].space, end)() for s, end, *_ in PUBLISHED}
    small, large = trees

    def counted(space: str, cells: tuple[str, ...], *reading) -> tuple[float, float]:
        side, window, products, heads = reading
        tree, spec = trees[space], restrict(ends[space], cells)
        flops = tree.layout.flops(with_windows(spec, window), (side, side), products)
        more = head_flops(ends[space], side) if heads else 0
        return tree.ledger().params(spec) / 1e6, (flops + more) / 1e9

    readings = list(product((224, 256), (None, 7), (True, False), (False, True)))
    for reading in readings:
        cases = (small, CELLS), (large, CELLS), (large, UNET)
        found = (counted(space, cells, *reading) for space, cells in cases)
        side, window, products, heads = reading
        words = [
            str(side),
            str(window or 'own'),
            *('yes' if x else 'no' for x in (products, heads)),
        ]
        print('| ' + ' | '.join([*words, *(f'{p:.2f} M, {f:.2f} G' for p, f in found)]) + ' |')
    for space, end, params, flops in PUBLISHED:
        print(f'\n{end} of {space}, {params} M and {flops} G:')
        near = []
        for cells, reading in product(unions(), readings):
            p, f = counted(space, cells, *reading)
            if abs(p / params - 1) < TOLERANCE:
                near.append(
                    (abs(f / flops - 1), f'{p:.2f} M, {f:.2f} G: {"+".join(cells)} {reading}')
                )
        print(*(text for _, text in sorted(near)[:10]), sep='\n')


if __name__ == '__main__':
    main()
