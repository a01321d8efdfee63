"""What a request for a budget and preferences takes, and what is learned for it once.

    python benchmarks/ecmt_control.py [--write benchmarks/results/NAME.json]

One thread, and the seconds of the processor. Searches in the slimmable ResNet-34 with FCN heads of
five convolutions, of 4 tasks and of 20, within half of the range of costs: in multiply-adds, and in
milliseconds by a table whose times are made up. Requests to a model with a front of 15
architectures, and 1,000 switches between them; a predictor that learns from 2,000 samples; the
hypervolume of 20 preferences.
``largest_percent_off`` compares tables of costs with the costs themselves. ``--profile`` prints
what a search spends its time on.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import parser, report
from mmengine.config import ConfigDict

import mdl_nas_mm.families  # noqa: F401
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.methods.ecmt.controller import Controller
from mdl_nas_mm.methods.ecmt.hypervolume import hypervolume
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.budgets import MACS, MILLISECONDS

SIZE = (448, 576)
ROUNDS = 9
SWITCHES = 1000


def seconds(function: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some calls."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return float(np.median(found))


def config_of(tasks: int) -> ConfigDict:
    """A joint model of so many tasks."""
    backbone = dict(
        type='ElasticResNet',
        depth=34,
        space='ecmt-nyud',
        sharing='AllShared',
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(3,),
    )
    head = dict(
        type='mdl_nas_mm.ElasticFCNHead',
        space=dict(width_ratio=(0.6, 0.7, 0.8, 0.9, 1.0)),
        num_convs=5,
        concat_input=False,
        in_channels=512,
        in_index=0,
        channels=256,
        num_classes=40,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    slot = dict(type='mdl_nas_mm.BackboneSlot')
    model = dict(
        type='EncoderDecoder', backbone=slot, decode_head=head, test_cfg=dict(mode='whole')
    )
    own = {f'task{i}': dict(scope='mmseg', model=model) for i in range(tasks)}
    return ConfigDict(dict(type='MultiTaskModel', backbone=backbone, tasks=own))


def learned(columns: JointColumns) -> tuple[LossPredictor, float]:
    """A predictor of made-up losses, and the seconds that it took to learn."""
    rng = np.random.default_rng(0)
    rows = columns.sample(2000, rng)
    own = [-rows[:, columns.of_task(task)].mean(1) for task in columns.spaces]
    losses = 5 + np.stack(own, 1) + 0.1 * rng.standard_normal((len(rows), len(own)))
    start = time.process_time()
    predictor = LossPredictor.fit(columns, rows, losses)
    return predictor, time.process_time() - start


def table_of(model: MultiTaskModel, path: Path) -> Path:
    """A latency table whose times are made up: the wider a block, the longer it takes."""
    timing = Timing.of(model.backbone, 'task0', SIZE)
    parts = timing.timed.all_parts(model.backbone.space)
    wide = np.array([sum(part.channels) for part in parts])
    times = wide / wide.mean() * np.random.default_rng(0).uniform(0.9, 1.1, len(parts))
    LatencyTable(timing, dict(zip(parts, times.tolist()))).save(path)
    return path


def middle(controller: Controller, unit: str) -> str:
    """Half of the range of costs, as a budget."""
    top = controller.columns.choices - 1
    half = controller.costs[unit](np.stack([0 * top, top])).mean()
    return f'{half:.6f}ms' if unit == MILLISECONDS else str(int(half))


def measured(tasks: int, profile: bool, folder: Path) -> tuple[dict, Controller]:
    """What so many tasks take, beside their weights."""
    model = weightless(config_of(tasks)).eval()
    columns, names = JointColumns(model.spaces), list(model.tasks)
    predictor, fitted = learned(columns)
    table, start = table_of(model, folder / 'table.json'), time.process_time()
    sizes = dict.fromkeys(names, SIZE)
    controller = Controller.of_model(model, predictor, sizes, latency=table)
    found: dict = dict(choices=len(columns), tables_s=round(time.process_time() - start, 2))
    prefer = dict(zip(names, np.linspace(0, 1, tasks).tolist()))
    for unit, short in ((MACS, 'macs'), (MILLISECONDS, 'ms')):
        budget = middle(controller, unit)
        for cycles in (10, 150):
            took = seconds(partial(controller.configure, budget, prefer, cycles))
            found[f'search_{short}_{cycles}_cycles_ms'] = round(1000 * took, 1)
        if profile:
            with cProfile.Profile() as profiler:
                controller.configure(budget, prefer)
            pstats.Stats(profiler).sort_stats('cumulative').print_stats(25)
    row = columns.sample(1, np.random.default_rng(1))
    root = columns.spec(names[0], row[0]).root
    for unit, exact in (
        (MACS, model.backbone.flops(names[0], root, SIZE)),
        (MILLISECONDS, LatencyTable.load(table).predict(root)),
    ):
        own, encoder = controller.costs[unit].parts[0]
        off = abs(float(encoder(row[:, list(own)])[0]) / exact - 1) * 100
        found['largest_percent_off'] = max(found.get('largest_percent_off', 0.0), off)
    points = np.random.default_rng(2).uniform(0, 1, (20, tasks))
    volume = seconds(lambda: hypervolume(points, [1.1] * tasks), 3)
    found |= dict(
        joint_spec_of_a_row_ms=round(1000 * seconds(lambda: columns.joint(row[0])), 2),
        predictor_2000_samples_s=round(fitted, 1),
        predictor_parameters=predictor.parameters,
        hypervolume_20_points_s=round(volume, 4),
    )
    return found, controller


def running(controller: Controller) -> dict:
    """What a model in memory takes to change its architecture."""
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(config_of(len(controller.columns.spaces))).eval()
    tasks = list(model.tasks)
    few = dict.fromkeys(tasks, torch.randn(2, 3, 64, 64))
    controlled = ControlledModel(model, controller, few)
    budgets = [middle(controller, MACS), None, middle(controller, MILLISECONDS)]
    alone = [{task: 1.0} for task in tasks] + [dict.fromkeys(tasks, 1.0)]
    controlled.add_to_front(budgets, alone)
    found = dict(front=len(controlled.front))
    for budget, short in zip(budgets[::2], ('macs', 'ms')):
        requests = [seconds(partial(controlled.request, budget, one), 5) for one in alone]
        found[f'request_{short}_ms'] = round(1000 * float(np.median(requests)), 2)
    members = itertools.cycle(controlled.front)
    took = seconds(lambda: controlled.switch(next(members)), 25)
    before = resident()
    for _ in range(SWITCHES):
        controlled.switch(next(members))
    found |= dict(
        switch_ms=round(1000 * took, 2), kibibytes_after_1000_switches=resident() - before
    )
    controlled.images = dict.fromkeys(tasks, torch.randn(2, 3, *SIZE))
    member = controlled.request(budgets[0], alone[0])
    took = seconds(lambda: controlled.calibrated(member.found), 1)
    return {**found, 'calibration_of_2_images_s': round(took, 2)}


def resident() -> int:
    """Kibibytes of this process that are in memory."""
    lines = Path(f'/proc/{os.getpid()}/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('VmRSS')).split()[1])


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--profile', action='store_true', help='print profiles of searches')
    args: argparse.Namespace = options.parse_args()
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for tasks in (4, 20):
            found, controller = measured(tasks, args.profile, Path(folder))
            results[f'{tasks} tasks'] = found | (running(controller) if tasks == 4 else {})
    report(args, results)


if __name__ == '__main__':
    main()
