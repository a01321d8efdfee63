"""What a request for a budget and preferences takes, and what is learned for it once.

    python benchmarks/ecmt_control.py [--write benchmarks/results/NAME.json]

One thread. Searches in the slimmable ResNet-34 with decoders of five widths, of 4 tasks and of 20,
within half of the range of costs; a predictor that learns from 2,000 samples; the hypervolume of 20
preferences. ``largest_percent_off`` compares tables of costs with the multiply-adds themselves.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from measuring import parser, report

from mdl_nas_mm.families import ElasticResNet
from mdl_nas_mm.families.slimmable import SLIMMABLE
from mdl_nas_mm.methods.ecmt.costs import joint_cost
from mdl_nas_mm.methods.ecmt.evolve import Evolution, evolve
from mdl_nas_mm.methods.ecmt.hypervolume import hypervolume
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.spec import SearchSpace

SIZE = (448, 576)
ROUNDS = 9


def seconds(function, rounds: int = ROUNDS) -> float:
    """The median of some calls."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def measured(backbone: ElasticResNet, tasks: int) -> dict:
    """The numbers of so many tasks."""
    ratios = backbone.space.stages[0].blocks[0].named['width_ratio']
    decoder = SearchSpace.from_config(dict(depth=5, width_ratio=ratios), SLIMMABLE)
    names = [f'task{i}' for i in range(tasks)]
    columns = JointColumns(
        {name: backbone.space.with_parts({f'{name}.decode_head': decoder}) for name in names}
    )
    start = time.perf_counter()
    cost = joint_cost(
        'multiply-adds',
        columns,
        lambda root: backbone.flops(None, root, SIZE),
        # Five convolutions of 256 channels in a row, on maps of 1/8.
        lambda task, spec: _decoder([b.width_ratio for b in spec.stages[-1].blocks]),
    )
    tables = time.perf_counter() - start
    rng = np.random.default_rng(0)
    rows = columns.sample(2000, rng)
    own = [[-rows[:, columns.of_task(name)].mean(1)] for name in names]
    losses = 5 + np.concatenate(own).T + 0.1 * rng.standard_normal((2000, tasks))
    start = time.perf_counter()
    predictor = LossPredictor.fit(columns, rows, losses)
    learned = time.perf_counter() - start
    least, most = (float(cost(row[None])[0]) for row in (0 * columns.choices, columns.choices - 1))
    prefer = dict(zip(names, np.linspace(0, 1, tasks).tolist()))

    def search(cycles: int):
        predict = lambda some: predictor(columns.encoded(some))  # noqa: E731
        settings = Evolution(cycles=cycles)
        return evolve(columns, cost, predict, (least + most) / 2, prefer, settings)

    few = rows[:20]
    exact = [backbone.flops(None, columns.spec(names[0], row).root, SIZE) for row in few]
    encoder = cost.parts[0][1](few[:, : columns.encoder])
    points = losses[:20] - losses[:20].min() + 1
    return dict(
        choices=len(columns),
        search_10_cycles_ms=round(1000 * seconds(lambda: search(10)), 2),
        search_150_cycles_ms=round(1000 * seconds(lambda: search(150)), 2),
        joint_spec_of_a_row_ms=round(1000 * seconds(lambda: columns.joint(rows[0])), 2),
        tables_s=round(tables, 2),
        largest_percent_off=float(np.abs(encoder / exact - 1).max() * 100),
        predictor_2000_samples_s=round(learned, 1),
        predictor_parameters=predictor.parameters,
        hypervolume_20_points_s=round(
            seconds(lambda: hypervolume(points, points.max(0) + 0.5), 1), 3
        ),
    )


def _decoder(ratios: list[float]) -> float:
    channels = [512, *(round(256 * ratio) for ratio in ratios)]
    return sum(a * b for a, b in zip(channels, channels[1:])) * SIZE[0] * SIZE[1] / 64


def main() -> None:
    args = parser(__doc__).parse_args()
    torch.set_num_threads(1)
    backbone = ElasticResNet(depth=34, space='ecmt-nyud', strides=(1, 2, 1, 1))
    report(args, {f'{tasks} tasks': measured(backbone, tasks) for tasks in (4, 20)})


if __name__ == '__main__':
    main()
