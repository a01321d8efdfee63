"""What ECMT's parts gain on the bundled scenes, over several seeds, as measured.

    python benchmarks/ecmt.py [--seeds 3] [--steps 180] [--rows ROW ...]
        [--write benchmarks/results/NAME.json]

A slimmable ResNet-18 and slimmable FCN heads learn segmentation, depth, normals and edges: with
CI-KD, without it, and networks of one width by themselves, of all tasks and of each alone, with the
same images and steps. Then, all in losses on the validation images: the smallest and the largest
network; searched encoders beside random ones of as many multiply-adds, with the same decoders;
hypervolumes; static networks by what they cost (Fig. 6), which ``mdl-nas hypervolume --beside``
takes; and each task's loss by the width of its own decoder, which its preference sets. Each row of
each seed is a file in the work directory, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import torch
from measuring import report
from mmengine.config import Config
from trainings import trained

from mdl_nas_mm.datasets.rooms import write_rooms
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.methods.ecmt import Controller
from mdl_nas_mm.methods.ecmt.controllability import Trial, controllability
from mdl_nas_mm.methods.ecmt.costs import multiply_adds
from mdl_nas_mm.methods.ecmt.hypervolume import hypervolume
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.search.loss_samples import measure_losses
from mdl_nas_mm.search.losses import LossEvaluator
from mdl_nas_mm.tasks import MultiTaskModel, resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet

ROOT = Path(__file__).resolve().parents[1]
TASKS = dict(seg=6, depth=1, normals=3, edges=1)
RATIOS = (0.4, 0.6, 0.8, 1.0)
# Parts of the way from the smallest to the largest in multiply-adds.
BUDGETS = (0.25, 0.5, 0.75)
SIZE = (96, 128)
# Random encoders beside a searched one.
RANDOM = 3
# Of the hypervolume: about the losses of networks that know nothing.
REFERENCE = dict(seg=1.8, depth=1.4, normals=7.1, edges=2.9)


def config_of(
    args: argparse.Namespace,
    seed: int,
    kd: float | None = None,
    width: float = 1.0,
    tasks: Sequence[str] = tuple(TASKS),
) -> Config:
    """The joint config of some tasks; without ``kd`` of a network of one width alone."""
    cfg = Config.fromfile(str(ROOT / 'configs/demo/demo_rooms.py'))
    cfg.randomness = dict(seed=seed)
    cfg.pop('search_cfg')
    cfg.tasks = {task: cfg.tasks[task] for task in tasks}
    cfg.backbone = dict(
        type='ElasticResNet',
        depth=18,
        space=dict(width_ratio=RATIOS if kd is not None else width),
        sharing='AllShared',
        stem_channels=16,
        base_channels=16,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        out_indices=(3,),
    )
    for task in tasks:
        head = dict(
            _delete_=True,
            type='mdl_nas_mm.ElasticFCNHead',
            space=cfg.backbone.space,
            in_channels=128,
            in_index=0,
            channels=48,
            num_classes=TASKS[task],
            num_convs=1,
            concat_input=False,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            dropout_ratio=0.0,
        )
        if task == 'seg':
            head['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
        cfg.tasks[task].model = dict(decode_head=head)
        if len(tasks) == 1:
            cfg.tasks[task].pop('images')
    cfg.recalibrate_images = 16
    cfg.train_cfg.update(max_iters=args.steps, val_interval=args.steps + 1)
    if kd is not None:
        cfg.train_cfg.sampler = dict(type='LargestFirstSampler', models=4)
        cfg.train_cfg.step = dict(type='ECMTStep', kd_weight=kd)
    warm = max(1, args.steps // 10)
    first, second = cfg.param_scheduler
    first.end = second.begin = warm
    second.T_max = args.steps - warm
    return cfg


class Supernet:
    """A trained model, and the losses of its architectures.

    Args:
        cfg: its joint config.
        folder: of its training, which is done if it is not there.
    """

    def __init__(self, cfg: Config, folder: Path) -> None:
        checkpoint = trained(cfg, folder)
        self.cfg, self.checkpoint = resolve_joint_config(cfg), checkpoint
        self.folder = folder

    @cached_property
    def losses(self) -> Callable:
        """Joint spec -> the losses of all tasks on the validation images."""
        model = load_supernet(self.cfg, self.checkpoint)
        return LossEvaluator(model, self.cfg, split='val')

    def controller(self, samples: int, seed: int) -> Controller:
        """With a predictor that has learned from the images set aside."""
        path = self.folder / 'predictor.safetensors'
        if not path.is_file():
            with quiet():
                measured = measure_losses(
                    self.cfg, self.checkpoint, self.folder / 'samples', samples, seed
                )
            assert measured is not None
            LossPredictor.fit(*measured).save(path)
        return Controller.of(self.cfg, path, dict.fromkeys(TASKS, SIZE))


class Rows:
    """The rows of one seed, each measured unless it is on disk."""

    def __init__(self, args: argparse.Namespace, seed: int) -> None:
        self.args, self.seed = args, seed
        self.folder = Path(args.work_dir) / f'seed{seed}'

    def row(self, name: str) -> dict[str, Any]:
        """What was measured, and in how many seconds."""
        path = self.folder / f'{name}.json'
        if not path.is_file():
            started = time.monotonic()
            found = getattr(self, name)()
            found['seconds'] = round(time.monotonic() - started, 1)
            write_json(path, found)
            print(f'{time.strftime("%H:%M:%S")} seed {self.seed}, {name}: {found}', flush=True)
        return json.loads(path.read_text())

    @cached_property
    def distilled(self) -> Supernet:
        return self._supernet('distilled', 1.0)

    def with_ci_kd(self) -> dict[str, Any]:
        return self._extremes(self.distilled)

    def without(self) -> dict[str, Any]:
        return self._extremes(self._supernet('without', 0.0))

    def static(self) -> dict[str, Any]:
        """The largest network, trained by itself."""
        return self._extremes(self._static(1.0))

    def static_costs(self) -> dict[str, Any]:
        """Networks of one width, of all tasks and of each alone, as ``--beside`` reads them."""
        points = []
        for level, width in enumerate(RATIOS):
            for tasks in (tuple(TASKS), *((task,) for task in TASKS)):
                net, kind = self._static(width, tasks), 'multi-task'
                if len(tasks) == 1:
                    kind = 'single-task'
                cost = self._static_cost(level, tasks)
                losses = self._extremes(net)['largest']
                name = f'{", ".join(tasks)}, width {width}'
                points.append(dict(kind=kind, name=name, cost=cost, losses=losses))
        return dict(points=points)

    def predictor(self) -> dict[str, Any]:
        return self._controller.predictor.about['held_out']

    def search(self) -> dict[str, Any]:
        """The loss of what matters: searched, and with random encoders that cost 95 % or more."""
        controller, measure, found = self._controller, self.distilled.losses, []
        for part in BUDGETS:
            budget = self._budget(part)
            for task in TASKS:
                own = controller.configure(budget, {task: 1})
                others = self._random(own.row, budget)
                found.append(
                    dict(
                        budget=part,
                        task=task,
                        searched=measure(own.joint)[task],
                        random=[measure(controller.columns.joint(r))[task] for r in others],
                    )
                )
        return dict(requests=found)

    def control(self) -> dict[str, Any]:
        """Hypervolumes of sampled preferences, uniform widths, and the static model, by budget."""
        static = self.row('static')['largest']
        tasks = sorted(TASKS)
        reference = tuple(REFERENCE[task] for task in tasks)
        own = hypervolume(np.array([[static[task] for task in tasks]]), reference)
        found: dict[str, Any] = dict(static_hypervolume=own)
        for part in BUDGETS:
            trial = Trial(reference, self._budget(part), self.args.preferences, 0.2, self.seed)
            path = self.folder / f'points_{part}.jsonl'
            found[str(part)] = controllability(
                self._controller, self.distilled.losses, trial, path, dict(seed=self.seed)
            )
        return found

    def preference(self) -> dict[str, Any]:
        """Each task's loss by its decoder's width; that of the others changes nothing for it."""
        columns, found = self._controller.columns, {}
        for name, place in (('largest', -1), ('smallest', 0)):
            for level, ratio in enumerate(RATIOS):
                row = np.where(place, columns.choices - 1, 0)
                row[columns.encoder :] = level
                found[f'{name} encoder, {ratio}'] = self.distilled.losses(columns.joint(row))
        return found

    @cached_property
    def _controller(self) -> Controller:
        return self.distilled.controller(self.args.samples, self.seed)

    def _supernet(self, name: str, kd: float) -> Supernet:
        return Supernet(config_of(self.args, self.seed, kd), self.folder / name)

    def _static(self, width: float, tasks: Sequence[str] = tuple(TASKS)) -> Supernet:
        cfg = config_of(self.args, self.seed, width=width, tasks=tasks)
        return Supernet(cfg, self.folder / f'static_{width}_{"_".join(tasks)}')

    @cached_property
    def _without_weights(self) -> MultiTaskModel:
        return weightless(self.distilled.cfg.model)

    def _static_cost(self, level: int, tasks: Sequence[str]) -> float:
        """Multiply-adds of a network of one width."""
        model = self._without_weights
        columns = JointColumns({task: model.spaces[task] for task in tasks})
        cost = multiply_adds(model, columns, dict.fromkeys(tasks, SIZE))
        return float(cost(np.full((1, len(columns)), level))[0])

    def _extremes(self, net: Supernet) -> dict[str, Any]:
        model = net.losses.model
        ends = dict(largest=lambda s: s.largest(), smallest=lambda s: s.smallest())
        return {
            k: net.losses({t: end(s) for t, s in model.spaces.items()}) for k, end in ends.items()
        }

    def _budget(self, part: float) -> float:
        cost, columns = self._controller.costs['multiply-adds'], self._controller.columns
        top = (columns.choices - 1)[None]
        least, most = float(cost(0 * top)[0]), float(cost(top)[0])
        return least + part * (most - least)

    def _random(self, row: np.ndarray, budget: float) -> list[np.ndarray]:
        """Rows with random encoders of nearly all of the budget, and the same decoders."""
        columns, rng = self._controller.columns, np.random.default_rng(self.seed)
        found: list[np.ndarray] = []
        while len(found) < RANDOM:
            rows = columns.sample(2000, rng)
            rows[:, columns.encoder :] = row[columns.encoder :]
            costs = self._controller.costs['multiply-adds'](rows)
            found += list(rows[(costs <= budget) & (costs >= 0.95 * budget)])
        return found[:RANDOM]


ROWS = (
    'with_ci_kd',
    'without',
    'static',
    'predictor',
    'search',
    'control',
    'preference',
    'static_costs',
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=180)
    parser.add_argument('--samples', type=int, default=60, help='of the predictor')
    parser.add_argument('--preferences', type=int, default=6)
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=ROWS, help='which to measure')
    parser.add_argument('--work-dir', default='work_dirs/ecmt')
    parser.add_argument('--write', help='JSON file for the results')
    args = parser.parse_args()
    args.work_dir = str(Path(args.work_dir).resolve())
    os.chdir(ROOT)
    torch.set_num_threads(1)
    write_rooms('data/rooms')
    seeds = [Rows(args, seed) for seed in range(args.seeds)]
    report(args, {name: [rows.row(name) for rows in seeds] for name in args.rows})


if __name__ == '__main__':
    main()
