"""What AutoTaskFormer's parts gain on the bundled scenes, over several seeds, as measured.

    python benchmarks/autotaskformer.py [--seeds 0 1 2] [--write benchmarks/results/NAME.json]

Four tasks on the same images of 48 x 64 pixels. ``learned`` and ``uniform`` are supernets:
skeletons learned with the weights, and sampled uniformly and then validated; they are scored with
the weights of the supernet. The rows ``... alone`` are single architectures of as many parameters,
trained as long as each other: the skeletons of each of the two, all tasks at the deepest skeleton
(Swin-Unet), and the encoder, with its last map and with all four. ``search`` has an evolution over
the cells of what was learned, and a random search of as many evaluations. Chosen and searched on
images set aside, scored on the validation images. Each row of each seed is a file in the work
directory, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import torch
from measuring import report
from mmengine.config import Config
from trainings import Rows, set_steps, shown, trained

from mdl_nas_mm.datasets.rooms import write_rooms
from mdl_nas_mm.elastic.arch_source import read_joint_spec
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.families.swin_unet import SKELETONS, Skeleton
from mdl_nas_mm.families.swin_unet.dimensions import CELL_TREE
from mdl_nas_mm.methods.autotaskformer.choice import (
    SkeletonChoice,
    chosen_checkpoint,
    chosen_config,
)
from mdl_nas_mm.methods.autotaskformer.validate import best_validated
from mdl_nas_mm.search import run_search
from mdl_nas_mm.search.settings import EvolutionSettings
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import (
    ResolvedConfig,
    joint_evaluations,
    pass_groups_of,
    resolve_joint_config,
    sampled_spaces,
)
from mdl_nas_mm.tasks.delta_t import relative_change
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.torch_file import write_torch_file

ROOT = Path(__file__).resolve().parents[1]
TASKS = dict(seg=6, depth=1, normals=3, edges=1)
SINGLE = [skeleton.name for skeleton in SKELETONS['single-scale']]
FOUR_MAPS = 'e1+e2+e3+e4'
IMAGES, SIDES, DATA = dict(train=400, search=20, val=80), (48, 64), 'data/rooms-small'
# Structures that no training chooses: where all tasks leave.
FIXED = {'swin-unet alone': 'd4.1', 'encoder alone': 'e4', 'encoder, four maps, alone': FOUR_MAPS}
# The widest embedding at 1/32; at 1/4, 1/8 and 1/16 an eighth, a quarter and a half of it.
WIDTH = 96
SEARCH = dict(population=6, generations=5, parents=3, crossovers=3, mutations=3, block_prob=0.2)
ROWS = ('learned', 'uniform', 'learned alone', 'uniform alone', *FIXED, 'search')


def widths_of(width: int) -> tuple[int, ...]:
    """Channels at 1/4, 1/8, 1/16 and 1/32."""
    return tuple(round(width / part) for part in (8, 4, 2, 1))


def config_of(
    steps: int, seed: int, skeletons: Sequence[str], width: int = WIDTH, elastic: bool = False
) -> Config:
    """A joint config with a head for each skeleton; of one architecture unless it is elastic."""
    cfg = Config.fromfile(str(ROOT / 'configs/demo/demo_rooms.py'))
    cfg.randomness, widths = dict(seed=seed), widths_of(width)
    cfg.pop('search_cfg')
    space = [
        dict(
            embed_dim=(3 * dim // 4, dim) if elastic else dim,
            depth=(1, 2) if elastic else 2,
            num_heads=heads,
            mlp_ratio=(1, 2) if elastic else 2,
            window_side=(2, 4) if elastic else 4,
        )
        for dim, heads in zip(widths, (2, 3, 6, 12))
    ]
    cfg.backbone = dict(
        type='ElasticSwinUNet', space=space, sharing='AllShared', head_dim=8, skeletons=skeletons
    )
    for task, classes in TASKS.items():
        head = dict(
            type='FCNHead',
            channels=16,
            num_convs=1,
            concat_input=False,
            norm_cfg=dict(type='GN', num_groups=4),
            align_corners=False,
            dropout_ratio=0.0,
        )
        if task == 'seg':
            head['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
        own = {FOUR_MAPS: dict(head, input_transform='resize_concat')}
        for key in ('train_dataloader', 'val_dataloader', 'search_dataloader'):
            cfg.tasks[task].setdefault(key, {}).setdefault('dataset', {})['data_root'] = DATA
        cfg.tasks[task].model = dict(
            data_preprocessor=dict(size=SIDES),
            decode_head=dict(
                _delete_=True,
                type='mdl_nas_mm.SkeletonHeads',
                in_channels=widths,
                num_classes=classes,
                head=head,
                heads={name: own[name] for name in skeletons if name in own},
                skeletons=skeletons,
            ),
        )
    set_steps(cfg, steps)
    cfg.default_hooks.checkpoint.interval = steps
    return cfg


def chosen(steps: int, seed: int, skeletons: Mapping[str, str], width: int) -> ResolvedConfig:
    """A joint config of one architecture, each task leaving it at a skeleton."""
    cfg = resolve_joint_config(config_of(steps, seed, sorted(set(skeletons.values())), width))
    choice = SkeletonChoice({task: Skeleton.parse(name) for task, name in skeletons.items()})
    return resolve_joint_config(chosen_config(cfg, choice))


def parameters(cfg: ResolvedConfig) -> int:
    """Of the whole model, heads included."""
    return sum(p.numel() for p in weightless(cfg.model).parameters())


class Experiment:
    """The rows of all seeds.

    Args:
        args: of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.folder = args, Path(args.work_dir)
        self.rows = Rows(self.folder, self._measured, len(args.seeds) * len(ROWS))

    def _measured(self, name: str, seed: int) -> dict[str, Any]:
        if name in ('learned', 'uniform'):
            return self._supernet(name, seed)
        if name == 'search':
            return self._searched(seed)
        if name in FIXED:
            return self._alone(dict.fromkeys(TASKS, FIXED[name]), seed)
        return self._alone(self._known(name.removesuffix(' alone'), seed)['skeletons'], seed)

    @cached_property
    def _most(self) -> int:
        deepest = dict.fromkeys(TASKS, FIXED['swin-unet alone'])
        return parameters(chosen(self.args.alone_steps, 0, deepest, WIDTH))

    def _known(self, name: str, seed: int) -> dict[str, Any]:
        return json.loads((self.folder / f'seed{seed}' / f'{name}.json').read_text())

    def _supernet(self, name: str, seed: int) -> dict[str, Any]:
        """Where its tasks leave, and how well, with the largest cells."""
        folder, steps = self.folder / f'seed{seed}' / name, self.args.steps
        cfg = config_of(steps, seed, SINGLE, elastic=True)
        cfg.train_cfg.sampler = dict(type='SandwichSampler', num_random=0)
        cfg.train_cfg.step = dict(type='UniformSkeletonStep', skeletons=SINGLE)
        if name == 'learned':
            cfg.train_cfg.step.update(
                type='AutoTaskFormerStep',
                temperature=dict(steps=steps, start=5.0, end=0.5),
                optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
            )
        path = trained(cfg, folder)
        cfg, checkpoint = resolve_joint_config(cfg), read_checkpoint(path)
        if name == 'learned':
            choice = SkeletonChoice.read(cfg, path, checkpoint)
        else:
            with quiet():
                choice = best_validated(cfg, load_supernet(cfg, path))
        chosen_config(cfg, choice).dump(str(folder / 'chosen.py'))
        write_torch_file(folder / 'chosen.pth', chosen_checkpoint(cfg, choice, checkpoint))
        write_json(folder / 'choice.json', choice.to_dict())
        own, spaces = self._chosen(name, seed)
        joint = JointSpec({task: space.largest() for task, space in spaces.items()})
        return dict(
            skeletons={task: skeleton.name for task, skeleton in choice.skeletons.items()},
            parameters=parameters(own),
            metrics=self._metrics(own, folder / 'chosen.pth', joint),
        )

    def _chosen(self, name: str, seed: int) -> tuple[ResolvedConfig, dict]:
        """The smallest supernet with all skeletons of a training, and its tasks' spaces."""
        folder = self.folder / f'seed{seed}' / name
        cfg = resolve_joint_config(Config.fromfile(str(folder / 'chosen.py')))
        return cfg, sampled_spaces(cfg, weightless(cfg.model).backbone.space)

    def _alone(self, skeletons: Mapping[str, str], seed: int) -> dict[str, Any]:
        """A single architecture with as many parameters as Swin-Unet of ``WIDTH`` has, trained."""
        steps, key = self.args.alone_steps, '_'.join(skeletons[task] for task in TASKS)
        # Parameters grow nearly with the square of the width.
        width = WIDTH
        for _ in range(3):
            has = parameters(chosen(steps, seed, skeletons, width))
            width = round(width * math.sqrt(self._most / has))
        cfg = chosen(steps, seed, skeletons, width)
        checkpoint = trained(cfg, self.folder / f'seed{seed}' / 'alone' / key)
        spaces = sampled_spaces(cfg, weightless(cfg.model).backbone.space)
        joint = JointSpec({task: space.largest() for task, space in spaces.items()})
        return dict(
            skeletons=dict(skeletons),
            width=width,
            parameters=parameters(cfg),
            metrics=self._metrics(cfg, checkpoint, joint),
        )

    def _searched(self, seed: int) -> dict[str, Any]:
        """An evolution and a random search below the middle of what the cells may take."""
        cfg, spaces = self._chosen('learned', seed)
        supernet = self.folder / f'seed{seed}' / 'learned' / 'chosen.pth'
        ledger = weightless(cfg.model).backbone.ledger()
        ends = [
            ledger.count(JointSpec({task: end(space) for task, space in spaces.items()}))
            for end in (lambda space: space.smallest(), lambda space: space.largest())
        ]
        budget, found = sum(end.backbone_total for end in ends) // 2, {}
        outside = parameters(cfg) - ends[1].backbone_total
        evolution, reference = dict(SEARCH), None
        for name in ('evolution', 'random'):
            folder = self.folder / f'seed{seed}' / name
            cfg.search_cfg = dict(
                budget=budget,
                with_heads=False,
                seed=seed,
                evolution=evolution,
                score=dict(type='MeanRelativeScore', samples=6, file=reference),
            )
            with quiet():
                result = run_search(cfg, supernet, folder)
            assert result is not None
            log = result.log
            joint = read_joint_spec(folder / 'joint_spec.json', CELL_TREE)
            found[name] = dict(
                s_score=result.score,
                evaluations=log[-1]['evaluations'],
                parameters=outside + ledger.count(joint).backbone_total,
                metrics=self._metrics(cfg, supernet, joint),
            )
            reference = str(self.folder / f'seed{seed}' / 'evolution' / 'reference.json')
            settings = EvolutionSettings(**SEARCH)
            evolution = vars(settings.at_random(log[-1]['evaluations']))
        return dict(budget=budget, **found)

    def _metrics(
        self, cfg: ResolvedConfig, checkpoint: Path, joint: JointSpec
    ) -> dict[str, dict[str, Any]]:
        """Task -> its score on the validation images, and which is better of it."""
        model = load_supernet(cfg, checkpoint).eval()
        splits = {task: info.val for task, info in cfg.tasks.items() if info.val is not None}
        found, subnets = {}, model.subnets(dict(joint))
        with quiet():
            for each in joint_evaluations(cfg.tasks, splits, pass_groups_of(cfg)).values():
                metrics = each.evaluate({task: subnets[task].val_step for task in each.tasks})
                for task, own in metrics.items():
                    scoring = each.tasks[task].scoring
                    found[task] = dict(value=scoring.score(own), greater=scoring.greater)
        return found


def gain(metrics: Mapping[str, Mapping], reference: Mapping[str, Mapping]) -> float:
    """Delta_T in percent of a model over another."""
    changes = [
        relative_change(own['value'], reference[task]['value'], own['greater'])
        for task, own in metrics.items()
    ]
    return sum(changes) / len(changes)


def table(rows: Mapping[str, Mapping[int, Mapping]]) -> str:
    """The rows as markdown: mean and deviation over seeds; Delta_T over Swin-Unet."""
    base = rows['swin-unet alone']
    lines = [f'| | {" | ".join(TASKS)} | Delta_T | parameters (M) | seeds |', '|---' * 8 + '|']
    named = {name: own for name, own in rows.items() if name != 'search'}
    for name in ('evolution', 'random'):
        named[f'search, {name}'] = {seed: row[name] for seed, row in rows['search'].items()}
    for name, own in named.items():
        if not own:
            continue
        columns = [[row['metrics'][task]['value'] for row in own.values()] for task in TASKS]
        columns.append([gain(own[s]['metrics'], base[s]['metrics']) for s in own if s in base])
        columns.append([row['parameters'] / 1e6 for row in own.values()])
        shows = [shown(column) if column else '' for column in columns]
        lines.append(f'| {name} | ' + ' | '.join([*shows, str(len(own))]) + ' |')
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--steps', type=int, default=80, help='of a supernet')
    parser.add_argument('--alone-steps', type=int, default=100, help='of one architecture')
    parser.add_argument('--work-dir', default='work_dirs/autotaskformer')
    parser.add_argument('--on-disk', action='store_true', help='report what was measured so far')
    parser.add_argument('--write', help='JSON file for the results')
    args = parser.parse_args()
    args.work_dir = str(Path(args.work_dir).resolve())
    os.chdir(ROOT)
    torch.set_num_threads(1)
    if not args.on_disk:
        write_rooms(DATA, images=IMAGES, height=SIDES[0], width=SIDES[1])
    experiment, rows = Experiment(args), {name: {} for name in ROWS}
    for seed in args.seeds:
        for name in ROWS:
            if not args.on_disk or experiment.rows.path(name, seed).is_file():
                rows[name][seed] = experiment.rows.row(name, seed)
    report(args, dict(table=table(rows).splitlines(), **rows))


if __name__ == '__main__':
    main()
