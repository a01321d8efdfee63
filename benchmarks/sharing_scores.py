"""What computation sharing gives on the bundled scenes beside the other ways, over several seeds.

    python benchmarks/sharing_scores.py [--seeds 0 1 2] [--write benchmarks/results/NAME.json]

A ViT of five blocks, 96 wide, learns segmentation, the base; then depth, normals and edges, all
from its weights and for the same steps: ``separate``, every weight free; ``joint``, all four in
one backbone, as an image group; ``incremental``, MDL-NAS's new tasks beside frozen shared weights;
``weights``, sparse differences after two stages; ``activations``, these after the third as well,
run with thresholds that were chosen on images set aside. ``videos`` are rendered ones of a still
camera and of one that moves, every frame scored. Each row of each seed is a file in the work
directory, so that an interrupted run goes on where it was.

``parameters`` are those of all four tasks with their heads, ``executed`` the multiply-adds of the
backbones over those of separate ones, ``counted`` the same as the paper counts, ``delta_t`` the
mean relative change in percent over the sub-tasks, more is better.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import torch
from measuring import parser, report
from mmengine.config import Config
from operators import by_kind
from sharing_groups import (
    HELD_OUT,
    METRICS,
    delta,
    group,
    score,
    shared_scores,
    timed,
)
from sharing_ways import BASE, ROOT, STEPS, SUM, config_of, new_tasks, sharing_config

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.apis.pipeline import train_stage, trained_checkpoint
from mdl_nas_mm.apis.shared_scores import SharedModels, images_of, thresholds_for
from mdl_nas_mm.apis.sub_tasks import share_computation
from mdl_nas_mm.apis.tasks import save_deposit
from mdl_nas_mm.datasets.rooms import write_room_videos, write_rooms
from mdl_nas_mm.deposit import Deposit, extract, load_around_one
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.computation_sharing.base import write_base
from mdl_nas_mm.methods.computation_sharing.running import SharingSettings
from mdl_nas_mm.tasks import fixed_spec, given_spec, resolve_joint_config
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet

TASKS = tuple(METRICS)
VIDEOS = Path('data/room_videos')
# What a sub-task may lose of its metric on images set aside, in percent.
LOSS = 1.5
FRAME_THRESHOLD = 0.2


class Rows:
    """The rows of one seed, each measured unless it is on disk."""

    def __init__(self, work_dir: str, seed: int) -> None:
        self.seed, self.folder = seed, Path(work_dir) / f'seed{seed}'

    def row(self, name: str) -> dict[str, Any]:
        """What was measured."""
        path = self.folder / f'{name}.json'
        if not path.is_file():
            started = time.monotonic()
            with quiet():
                found = getattr(self, name)()
            write_json(path, found)
            seconds = time.monotonic() - started
            print(f'{time.strftime("%H:%M:%S")} seed {self.seed}, {name}, {seconds:.0f} s: {found}')
        return json.loads(path.read_text())

    def base(self) -> dict[str, Any]:
        """The base task alone; its policy is that of the incremental tasks."""
        cfg = config_of(self.seed, STEPS['base'], (BASE,), sharing='Sequential')
        cfg.backbone.space.share_ratio = 0.5
        self._deposit(cfg, 'base')
        write_base(Deposit(self._path('base')), BASE, self._path('owned'))
        extract(self._path('base'), BASE, self.folder, stock=False)
        return dict(scores=score(self._path('base'), [BASE]))

    def separate(self) -> dict[str, Any]:
        """A model a task."""
        scores, parameters = dict(self.row('base')['scores']), self._parameters('base')
        for task in TASKS[1:]:
            self._deposit(self._from_base((task,)), task)
            scores |= score(self._path(task), [task])
            parameters += self._parameters(task)
        return dict(scores=scores, parameters=parameters, executed=1.0)

    def joint(self) -> dict[str, Any]:
        """One backbone, all tasks of an image in a pass."""
        self._deposit(self._from_base(TASKS), 'joint')
        scores, parameters = score(self._path('joint'), TASKS), self._parameters('joint')
        return dict(scores=scores, parameters=parameters, executed=0.25)

    def incremental(self) -> dict[str, Any]:
        """New tasks own half of the channels of each layer."""
        path = self._path('incremental')
        shutil.copyfile(self._path('base'), path)
        for task in TASKS[1:]:
            cfg = new_tasks(config_of(self.seed, SUM, (task,)), self._path('base'))
            cfg, checkpoint = self._train(cfg, f'incremental_{task}')
            add_to_deposit(cfg, checkpoint, given_spec(cfg), path)
        scores, parameters = score(path, TASKS), self._parameters('incremental')
        return dict(scores=scores, parameters=parameters, executed=1.0)

    def weights(self) -> dict[str, Any]:
        """Sparse differences; what equals the base's is taken over, which is exact."""
        return self._shared('weights', False)

    def activations(self) -> dict[str, Any]:
        """The third stage as well; without thresholds, and with those that were chosen."""
        found = self._shared('activations', True)
        path = self._path('activations')
        thresholds = thresholds_for(path, LOSS, HELD_OUT, steps=4)
        settings = SharingSettings('tasks', threshold=thresholds, attention='queries')
        found |= dict(thresholds=thresholds, exact=found.pop('scores'), exactly=found['executed'])
        found['scores'], work = shared_scores(path, settings)
        return dict(found, **work, delta_t=delta(found['scores'], found['exact']))

    def videos(self) -> dict[str, Any]:
        """Every frame of both kinds of video: alone, and with all that is shared."""
        thresholds, path = self.row('activations')['thresholds'], self._path('activations')
        found: dict[str, Any] = {}
        for kind in ('still', 'moving'):
            folder = VIDEOS / 'val' / f'{kind}_0'
            data = dict(data_root=str(folder), ann_file='gt_sets/labelled.txt')
            for name, settings in video_settings(thresholds).items():
                scores, work = shared_scores(path, settings, batch_size=1, **data)
                alone = found.get(f'{kind}, tasks, exact', dict(scores=scores))['scores']
                own = dict(scores=scores, **work, delta_t=delta(scores, alone))
                found[f'{kind}, {name}'] = own
        return found

    def milliseconds(self) -> dict[str, Any]:
        """Of all four tasks on an image, heads and state included; processor time of one thread."""
        thresholds, path = self.row('activations')['thresholds'], self._path('activations')
        cases = self._ways(thresholds)
        separate, shared = cases['separate'], self._shared_models
        found = dict(image=timed(cases, images_of(Deposit(path), TASKS[1], batch_size=1)))
        for kind in ('still', 'moving'):
            folder = VIDEOS / 'val' / f'{kind}_0'
            data = dict(data_root=str(folder), ann_file='gt_sets/labelled.txt')
            groups = {k: shared('activations', s) for k, s in video_settings(thresholds).items()}
            cases = dict(separate=separate, **{name: g.run for name, g in groups.items()})
            found[kind] = timed(cases, images_of(Deposit(path), TASKS[1], batch_size=1, **data))
            sizes = {k: round(g.state.bytes / 1024) for k, g in groups.items() if g.state}
            found[f'{kind}, state KiB'] = sizes
        return found

    def profile(self) -> dict[str, Any]:
        """Milliseconds of an image by kind of operator: why fewer products save less time."""
        cases = self._ways(self.row('activations')['thresholds'])
        images = images_of(Deposit(self._path('activations')), TASKS[1], batch_size=1)
        return {name: by_kind(cases[name], images) for name in ('separate', 'activations')}

    def _ways(self, thresholds: Mapping[str, list[float]]) -> dict[str, Callable]:
        """What runs all four tasks on an image, for each of the ways."""
        models = {t: Deposit(self._path(t if t != BASE else 'base')).load_task(t) for t in TASKS}
        one = load_around_one(Deposit(self._path('joint')), TASKS)
        new = {task: Deposit(self._path('incremental')).load_task(task) for task in TASKS}

        def plain(models: Mapping, together: bool = False) -> Callable:
            def run(image: torch.Tensor) -> None:
                with SharedPass() if together else torch.no_grad():
                    for model in models.values():
                        model(image, mode='tensor')

            return run

        queries = SharingSettings('tasks', threshold=thresholds, attention='queries')
        return dict(
            separate=plain(models),
            joint=plain(one, True),
            incremental=plain(new),
            weights=self._shared_models('weights', SharingSettings('tasks')).run,
            activations=self._shared_models('activations', queries).run,
        )

    def _shared_models(self, name: str, settings: SharingSettings) -> SharedModels:
        return group(Deposit(self._path(name)), TASKS, settings)

    def _shared(self, name: str, with_activations: bool) -> dict[str, Any]:
        cfg = sharing_config(self.seed, self._path('owned'), with_activations)
        shutil.copyfile(share_computation(cfg, self.folder / 'sub-tasks'), self._path(name))
        scores, work = shared_scores(self._path(name), SharingSettings('tasks'))
        return dict(scores=scores, parameters=self._parameters(name), **work)

    def _from_base(self, tasks: tuple[str, ...]) -> Config:
        start = dict(
            type='Pretrained', checkpoint=str(self.folder / f'{BASE}.pth'), prefix='backbone'
        )
        return config_of(self.seed, SUM, tasks, init_cfg=start)

    def _train(self, cfg: Config, name: str) -> tuple[Any, Path]:
        cfg, folder = resolve_joint_config(cfg), self.folder / name
        if not (folder / 'done').is_file():
            train_stage(cfg, folder)
            (folder / 'done').touch()
        return cfg, trained_checkpoint(folder)

    def _deposit(self, cfg: Config, name: str) -> None:
        cfg, checkpoint = self._train(cfg, f'{name}_training')
        joint = fixed_spec(cfg)
        assert joint is not None
        save_deposit(cfg, checkpoint, joint, self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / f'{name}.safetensors'

    def _parameters(self, name: str) -> int:
        return Deposit(self._path(name)).counts.total


ROWS = (
    'base',
    'separate',
    'joint',
    'incremental',
    'weights',
    'activations',
    'videos',
    'milliseconds',
    'profile',
)


def video_settings(thresholds: Mapping[str, list[float]]) -> dict[str, SharingSettings]:
    """What is shared on videos."""
    frames = dict(frame_threshold=FRAME_THRESHOLD, attention='queries')
    return {
        'tasks, exact': SharingSettings('tasks'),
        'tasks': SharingSettings('tasks', threshold=thresholds, attention='queries'),
        'frames': SharingSettings('frames', **frames),
        'both': SharingSettings('both', threshold=thresholds, **frames),
    }


def table(rows: Mapping[str, list[dict]]) -> str:
    """Mean and deviation over the seeds of each way."""
    lines = [f'| | {" | ".join(TASKS)} | parameters | executed | ms |', '|---' * 8 + '|']
    for way in ('separate', 'joint', 'incremental', 'weights', 'activations'):
        cells = [spread([row['scores'][task] for row in rows[way]]) for task in TASKS]
        cells += [spread([row[key] for row in rows[way]]) for key in ('parameters', 'executed')]
        cells.append(spread([row['image'][way] for row in rows['milliseconds']]))
        lines.append(f'| {way} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):.4g} ± {deviation:.2g}'


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    options.add_argument('--work-dir', default='work_dirs/sharing_scores')
    args: argparse.Namespace = options.parse_args()
    args.work_dir = str(Path(args.work_dir).resolve())
    os.chdir(ROOT)
    torch.set_num_threads(1)
    write_rooms('data/rooms')
    write_room_videos(VIDEOS, videos=dict(val=2))
    # All rows of a seed before the next one.
    found = [{name: rows.row(name) for name in ROWS} for rows in seeds(args)]
    by_row = {name: [each[name] for each in found] for name in ROWS}
    print(table(by_row))
    report(args, by_row)


def seeds(args: argparse.Namespace) -> list[Rows]:
    """Those that were asked for."""
    return [Rows(args.work_dir, seed) for seed in args.seeds]


if __name__ == '__main__':
    main()
