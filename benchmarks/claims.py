"""What sharing a part of every layer gains, on the bundled data: Tables 4 to 6 of the paper.

    python benchmarks/claims.py [--domain rooms] [--seeds 0 1 2] [--steps 330]

Each row is trained for the same steps, with the same images of each task, from the same
pre-trained weights, and scored on images that neither its training nor its search has seen. What a
search finds is scored with the supernet's weights, as the paper does. Every training of every seed
is a file in the work directory, so that an interrupted run goes on where it was; so is each row.
``benchmarks/claims_report.py`` makes a table and a picture of those that are there.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

import torch
from measuring import machine
from mmengine.config import Config
from trainings import Rows, set_steps, trained

from mdl_nas_mm.apis.conflicts import conflicts_of, start_from
from mdl_nas_mm.apis.tasks import save_deposit
from mdl_nas_mm.datasets import write_demo_data
from mdl_nas_mm.datasets.rooms import write_rooms
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.arch_source import read_joint_spec
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config, sampled_spaces
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet

ROOT = Path(__file__).resolve().parents[1]
# Joint config, config of a pre-training, what writes the images.
DOMAINS = dict(
    demo=(
        'configs/demo/demo_joint.py',
        'configs/demo/demo_pretrain.py',
        lambda: write_demo_data('data/demo', progress=False),
    ),
    rooms=('configs/demo/demo_rooms.py', None, lambda: write_rooms('data/rooms')),
)
# Of all architectures, the largest one.
SIZES = dict(embed_dim=96, depth=5, num_heads=3, mlp_ratio=3)
RATIOS = (0.5, 0.7, 0.9)
# As many candidates for all, some 40 joint specs.
EVOLUTION = dict(population=10, generations=4, parents=4, crossovers=4, mutations=4)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        sharing: of the backbone.
        ratios: share ratios of the space.
        sizes: whether sizes have a choice; else they are the largest.
        search: whether all tasks have one architecture in it; None for the largest, unsearched.
        at_random: the row whose search is compared with a random one of as many evaluations.
        start: whether the share ratios are those proposed from conflicts in the all-shared model.
        seeded: whether the search starts from these.
        alone: whether each task is trained by itself.
    """

    sharing: str | Mapping[str, str]
    ratios: tuple[float, ...] = (1.0,)
    sizes: bool = False
    search: bool | None = None
    at_random: str = ''
    start: bool = False
    seeded: bool = False
    alone: bool = False

    @property
    def training(self) -> str:
        """What tells its training from those of other rows."""
        parts = (self.sharing, self.ratios, self.sizes, self.start, self.alone)
        return json.dumps(parts, sort_keys=True)


def own(role: str) -> dict[str, str]:
    return {role: 'AllSpecific'}


ROWS = {
    'separate': Row('AllShared', alone=True),
    'all shared': Row('AllShared'),
    'specific norms': Row(own('norm')),
    'specific attention': Row(own('attn')),
    'specific feed-forward': Row(own('ffn')),
    'all specific': Row('AllSpecific'),
    'sizes (AB2, S)': Row('AllShared', sizes=True, search=True),
    'sizes (AB2, D)': Row('AllShared', sizes=True, search=False),
    'mask ratios (AB3, S)': Row('Mask', RATIOS, search=True),
    'mask ratios (AB3, D)': Row('Mask', RATIOS, search=False),
    'sequential ratios (AB3, S)': Row('Sequential', RATIOS, search=True),
    'sequential ratios (AB3, D)': Row('Sequential', RATIOS, search=False),
    'both, mask': Row('Mask', RATIOS, sizes=True, search=False),
    'both, sequential': Row('Sequential', RATIOS, sizes=True, search=False),
    'both, sequential, at random': Row('Sequential', RATIOS, True, False, 'both, sequential'),
    'both, sequential, from conflicts': Row('Sequential', RATIOS, True, False, seeded=True),
    'ratios 0 or 1 (AB4)': Row('Sequential', (0.0, 1.0), sizes=True, search=False),
    'ratios from conflicts': Row('Sequential', RATIOS, start=True),
}


def take_papers_steps(cfg: Config) -> None:
    """Sandwiches, and one learning rate for all, in place of what makes the demo short."""
    cfg.train_cfg.sampler = dict(type='SandwichSampler', num_random=1)
    cfg.optim_wrapper.pop('paramwise_cfg', None)


def config_of(args: argparse.Namespace, row: Row, seed: int, *tasks: str) -> Config:
    """The joint config of a row's training."""
    cfg = Config.fromfile(str(ROOT / DOMAINS[args.domain][0]))
    cfg.load_from, cfg.randomness = None, dict(seed=seed)
    cfg.tasks = {name: task for name, task in cfg.tasks.items() if not tasks or name in tasks}
    take_papers_steps(cfg)
    # Upstream's settings of each task.
    for task in cfg.tasks.values():
        # Images in common would tie the architectures of some rows, and not those of others.
        for key in ('images', 'train_dataloader', 'model'):
            task.pop(key, None)
    cfg.backbone.sharing = row.sharing
    cfg.backbone.space.update(share_ratio=row.ratios, per_stage=False)
    if not row.sizes:
        cfg.subspace = dict(SIZES, share_ratio=row.ratios)
        if len(row.ratios) > 1:
            # A sandwich has one architecture where sizes do not vary; a step of what is searched
            # has three, as the paper has four in every search (supplement, D).
            cfg.train_cfg.sampler = dict(type='UniformSampler', num_random=3)
    if args.steps:
        set_steps(cfg, args.steps)
    return cfg


class Runs:
    """The trainings of one domain, each in a folder of its own.

    Args:
        args: of the command line.
        folder: where they go.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder

    def measure(self, name: str, seed: int) -> dict[str, Any]:
        """Scores and parameters of a row, and where they are from."""
        return dict(self._measured(ROWS[name], name, seed), seed=seed, machine=machine())

    def _measured(self, row: Row, name: str, seed: int) -> dict[str, Any]:
        cfg = config_of(self.args, row, seed)
        if not row.alone:
            return self._one(row, cfg, seed, name)
        apart = [
            self._one(row, config_of(self.args, row, seed, task), seed, f'{name} {task}')
            for task in cfg.tasks
        ]
        scores = {task: score for each in apart for task, score in each['scores'].items()}
        sums = {key: sum(each[key] for each in apart) for key in ('s_score', 'backbone', 'total')}
        return dict(scores=scores, **sums)

    def _one(self, row: Row, cfg: Config, seed: int, name: str) -> dict[str, Any]:
        folder = self.folder / f'seed{seed}'
        if row.start:
            cfg.joint_spec = str(self._proposed(seed))
            cfg.pop('subspace', None)
            cfg.train_cfg.pop('sampler', None)
            cfg.pop('search_cfg', None)
        supernet = self._trained(row, cfg, seed, name if row.alone else '')
        cfg = resolve_joint_config(cfg)
        joint = fixed_spec(cfg)
        if row.search is not None:
            start = str(self._proposed(seed)) if row.seeded else None
            joint = self._searched(row, cfg, supernet, folder / 'searches' / name, start)
        assert joint is not None
        path = folder / f'{name}.safetensors'
        with quiet():
            counts = save_deposit(cfg, supernet, joint, path, scored=True)
        scores = {task: info['scored'] for task, info in Deposit(path).tasks.items()}
        path.unlink()
        s_score = 0.0
        for task, info in cfg.tasks.items():
            assert info.val is not None
            s_score += info.score_weight * info.scoring(info.val).gain(scores[task])
        return dict(
            scores=scores, s_score=s_score, backbone=counts.backbone_total, total=counts.total
        )

    def _trained(self, row: Row, cfg: Config, seed: int, suffix: str) -> Path:
        """The checkpoint of a training, which rows with the same one share."""
        key = f'{row.training}{suffix}'
        name = ''.join(c if c.isalnum() else '_' for c in key).strip('_')
        folder = self.folder / f'seed{seed}' / 'trainings' / name
        cfg.load_from = self._pretrained(seed)
        return trained(cfg, folder)

    def _pretrained(self, seed: int) -> str | None:
        config = DOMAINS[self.args.domain][1]
        if config is None:
            return None
        cfg = Config.fromfile(str(ROOT / config))
        cfg.randomness = dict(seed=seed)
        take_papers_steps(cfg)
        if self.args.steps:
            set_steps(cfg, self.args.steps)
        return str(trained(cfg, self.folder / f'seed{seed}' / 'pretrain'))

    def _searched(
        self, row: Row, cfg: Config, supernet: Path, folder: Path, start: str | None
    ) -> JointSpec:
        """The best joint spec below the middle of what the backbones may take."""
        model = load_supernet(cfg, supernet)
        spaces, ledger = sampled_spaces(cfg, model.backbone.space), model.backbone.ledger()
        ends = [
            ledger.count(JointSpec({t: find(s, end) for t, s in spaces.items()})).backbone_total
            for find in (lambda s, end: s.smallest(end), lambda s, end: s.largest(end))
            for end in (0, -1)
        ]
        evolution = dict(EVOLUTION)
        if row.at_random:
            report = folder.parent / row.at_random / 'report.json'
            if not report.is_file():
                raise ValueError(f'--rows: {row.at_random!r} has to come before its random search')
            most = json.loads(report.read_text())['evaluations']
            evolution.update(crossovers=0, mutations=0, generations=10**6, max_evaluations=most)
        budget = (min(ends) + max(ends)) // 2
        cfg.search_cfg = dict(budget=budget, with_heads=False, evolution=evolution, start=start)
        if row.search:
            cfg.search_cfg.tied = 'all'
        with quiet():
            run_search(cfg, supernet, folder)
        return read_joint_spec(folder / 'joint_spec.json', family_of(cfg.model.backbone).dimensions)

    def _proposed(self, seed: int) -> Path:
        """Share ratios from the conflicts of the model that shares all, which has no ratios."""
        path = self.folder / f'seed{seed}' / 'proposed.json'
        if not path.is_file():
            start = config_of(self.args, Row('Sequential', RATIOS), seed)
            proposed = start_from(start, self._conflicts(seed))
            assert proposed is not None
            write_json(path, proposed.to_dict())
        return path

    def _conflicts(self, seed: int) -> dict[str, Any]:
        """Of the model that shares all; the report has them beside what searches share."""
        path = self.folder / f'seed{seed}' / 'conflicts.json'
        if not path.is_file():
            cfg = config_of(self.args, ROWS['all shared'], seed)
            checkpoint = self._trained(ROWS['all shared'], copy.deepcopy(cfg), seed, '')
            cfg.work_dir = str(path.parent / 'conflicts')
            with quiet():
                write_json(path, conflicts_of(cfg, checkpoint))
        return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--domain', choices=DOMAINS, default='demo')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--steps', type=int, help="of each training (the config's)")
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
    parser.add_argument('--work-dir', default='work_dirs/claims')
    args = parser.parse_args()
    args.work_dir = str(Path(args.work_dir).resolve())
    os.chdir(ROOT)
    torch.set_num_threads(1)
    DOMAINS[args.domain][2]()
    folder = Path(args.work_dir) / args.domain
    rows = Rows(folder, Runs(args, folder).measure, len(args.rows) * len(args.seeds))
    for seed in args.seeds:
        for name in args.rows:
            print(json.dumps(rows.row(name, seed)), flush=True)


if __name__ == '__main__':
    main()
