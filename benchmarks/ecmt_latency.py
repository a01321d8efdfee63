"""The time of an image against its budget in milliseconds, by the latency table of this machine.

    python benchmarks/ecmt_latency.py [--write benchmarks/results/NAME.json]

The networks of ``ecmt.py`` twice as wide, four tasks on images of 192 x 256, one thread. A table is
measured; architectures are chosen for some budgets and preferences; an image goes through encoder
and heads as a running model has them, all of these in turn, in seconds of the processor. Weights
are random, the predictor has learned that wider is better: neither changes a time.
"""

from __future__ import annotations

import argparse
import functools
import time
from types import SimpleNamespace

from ecmt import TASKS, config_of  # isort: skip
import numpy as np
import torch
from measuring import medians, parser, report

from mdl_nas_mm.apis.latency import LatencyMeter
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.ecmt import Controller
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils import clock
from mdl_nas_mm.utils.budgets import MILLISECONDS

SIZE, SPACE = (192, 256), dict(width_ratio=(0.4, 0.7, 1.0))
# Parts of the way from the smallest to the largest, and what is preferred.
REQUESTS = [(part, prefer) for part in (0.1, 0.4, 0.7, 1.0) for prefer in (dict(seg=1), None)]


def config(args: argparse.Namespace) -> ResolvedConfig:
    cfg = config_of(argparse.Namespace(steps=1), 0, 1.0)
    cfg.backbone.update(stem_channels=32, base_channels=32, space=SPACE)
    for task in TASKS:
        head = cfg.tasks[task].model.decode_head
        head.update(in_channels=256, channels=96, space=SPACE)
    return resolve_joint_config(cfg, check_files=False)


def controller_of(cfg: ResolvedConfig, table) -> Controller:
    model = weightless(cfg.model).eval()
    columns = JointColumns(model.spaces)
    rows = columns.sample(200, np.random.default_rng(0))
    encoded = columns.encoded(rows)
    losses = np.stack([2 - encoded[:, columns.of_task(t)].mean(1) for t in columns.spaces], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=10))
    return Controller.of_model(model, predictor, dict.fromkeys(TASKS, SIZE), latency=table)


@torch.inference_mode()
def answered(model: MultiTaskModel, joint: JointSpec, images: torch.Tensor) -> None:
    """All tasks of an image, with one pass of the encoder."""
    with SharedPass():
        for task, spec in joint.items():
            with model.scope(task), activate(task, spec):
                model.tasks[task](images, mode='tensor')


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--runs', type=int, default=5, help='of the table')
    options.add_argument('--rounds', type=int, default=15)
    args = options.parse_args()
    torch.set_num_threads(1)
    # With one thread the processor's seconds, as ``medians`` has them.
    clock.time = SimpleNamespace(perf_counter=time.process_time)
    cfg = config(args)
    meter = LatencyMeter(cfg, next(iter(cfg.tasks)), SIZE, runs=args.runs, warmup=1)
    table = meter.measure(tuple(TASKS))
    controller = controller_of(cfg, table)
    cost, top = controller.costs[MILLISECONDS], (controller.columns.choices - 1)[None]
    least, most = float(cost(0 * top)[0]), float(cost(top)[0])
    found = []
    for part, prefer in REQUESTS:
        budget = least + part * (most - least)
        found.append((budget, controller.configure(f'{budget:.6f}ms', prefer)))
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model).eval()
    images = torch.randn(1, 3, *SIZE)
    cases = {
        str(number): functools.partial(answered, model, own.joint, images)
        for number, (_, own) in enumerate(found)
    }
    seconds = medians(cases, args.rounds)
    rows = []
    for number, ((budget, own), (part, prefer)) in enumerate(zip(found, REQUESTS)):
        measured = 1000 * seconds[str(number)]
        rows.append(
            dict(
                part=part,
                prefer='seg' if prefer else 'all alike',
                budget=round(budget, 2),
                table=round(own.cost, 2),
                measured=round(measured, 2),
                over_table=round(measured / own.cost, 3),
                over_budget=round(measured / budget, 3),
            )
        )
    worst = max(abs(row['over_table'] - 1) for row in rows)
    report(args, dict(heads=table.about['heads'], images=rows, worst=round(worst, 3)))


if __name__ == '__main__':
    main()
