"""A new data set and a new task on the demo's model: what is trained, and what that costs and does.

    python tools/demo.py
    python benchmarks/incremental.py [--seeds 0 1 2] [--write benchmarks/results/NAME.json]

Starts from the demo's joint training (sequential sharing, in work_dirs/demo) and from the same
training with mask sharing, which is run first where it is not there. Both with the architectures
that the demo's search found. For each of the demo's two new tasks and each seed of its training:

- sequential: its own weights and head are trained;
- mask (S): the same, with the scores of the supernet;
- mask (D): also a copy of the scores;
- head: the head alone, on a backbone that is wholly frozen (sequential);
- all: nothing is frozen (sequential).

Measured are the score of the new task, the parameters that it adds, and the change of the old
tasks: the largest difference of their answers where weights were frozen, their scores where
they were not. What is known is kept in the work dir, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

from measuring import parser, report
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.apis.incremental import overwrite_shared, validation_images
from mdl_nas_mm.apis.tasks import save_deposit, score_subnets
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.verify import largest_differences
from mdl_nas_mm.engine.checkpoint import latest_checkpoint, load_supernet, resume_from
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.tasks import choose_joint_spec, fixed_spec, resolve_joint_config

ROOT = Path(__file__).parents[1]
VARIANTS = {
    'sequential': ('Sequential', 'specific'),
    'mask (S)': ('Mask', 'specific'),
    'mask (D)': ('Mask', 'scores'),
    'head': ('Sequential', 'head'),
    'all': ('Sequential', 'all'),
}
TASKS = ('sketch', 'pose')


def train(cfg: Config, folder: Path) -> Runner:
    """Trains in a folder, or goes on there."""
    cfg.work_dir = str(folder)
    resume_from(cfg, 'auto')
    runner = RUNNERS.build(cfg)
    runner.train()
    return runner


class Base:
    """A supernet of the demo's tasks under one policy, and its deposit."""

    def __init__(self, policy: str, demo: Path, work_dir: Path) -> None:
        self.spec = demo / 'search' / 'joint_spec.json'
        self.folder = work_dir / policy.lower()
        cfg = Config.fromfile(ROOT / 'configs/demo/demo_joint.py')
        cfg.backbone.sharing = policy
        if policy == 'Sequential':
            self.supernet = latest_checkpoint(demo / 'joint')
        else:
            cfg.load_from = str(latest_checkpoint(demo / 'pretrain'))
            cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={'.score': dict(decay_mult=0.0)})
            self.supernet = latest_checkpoint(self.folder)
            if self.supernet is None or self.supernet.stem != f'iter_{cfg.max_iters}':
                train(cfg.copy(), self.folder)
                self.supernet = latest_checkpoint(self.folder)
        choose_joint_spec(cfg, str(self.spec))
        self.cfg = resolve_joint_config(cfg)
        self.joint = TRANSFORMER.read_joint(self.cfg.joint_spec)
        self.deposit = self.folder / 'deposit.safetensors'
        save_deposit(self.cfg, self.supernet, self.joint, self.deposit)
        self.scores = self.evaluate(self.supernet)

    def evaluate(self, checkpoint: Path) -> dict[str, float]:
        """The old tasks' scores in percent."""
        model = load_supernet(self.cfg, checkpoint)
        subnets = {task: model.subnet(task, spec) for task, spec in self.joint.items()}
        return score_subnets(self.cfg, subnets)


def run(base: Base, task: str, trained: str, seed: int, folder: Path) -> dict:
    """Trains a new task; gives its score, what it adds, and the change of the old ones."""
    cfg = Config.fromfile(ROOT / f'configs/demo/demo_{task}.py')
    cfg.base, cfg.joint_spec, cfg.trained = str(base.supernet), str(base.spec), trained
    cfg.randomness = dict(seed=seed)
    if trained == 'scores':
        cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={'.score': dict(decay_mult=0.0)})
    cfg = resolve_joint_config(cfg)
    started = time.monotonic()
    runner = train(cfg, folder)
    seconds, checkpoint = time.monotonic() - started, latest_checkpoint(folder)
    # Of a single task, whose weight is one.
    score = runner.message_hub.get_scalar('val/s_score').current()
    result = dict(score=score, seconds=round(seconds, 1))
    joint = fixed_spec(cfg)
    if trained == 'all':
        overwrite_shared(base.supernet, checkpoint, folder / 'overwritten.pth')
        model = load_supernet(cfg, checkpoint)
        counts = model.backbone.ledger(model.head_sizes()).count(joint)
        # Nothing of it is the old tasks' any more.
        return dict(
            result, added=counts.total, old_scores=base.evaluate(folder / 'overwritten.pth')
        )
    grown = Path(shutil.copy(base.deposit, folder / 'deposit.safetensors'))
    total = add_to_deposit(cfg, checkpoint, joint, grown).total
    added = total - Deposit(base.deposit).counts.total
    if trained == 'head':
        # Its own weights of the backbone are copies of those that it started from.
        added = Deposit(grown).counts.heads[task]
    differences = largest_differences(base.deposit, grown, validation_images(base.deposit))
    return dict(result, added=added, largest_difference=max(differences.values()))


def measure(args: argparse.Namespace) -> dict:
    """Runs what is not known yet; gives everything."""
    work_dir = Path(args.work_dir)
    file, known = work_dir / 'runs.json', {}
    if file.is_file():
        known = json.loads(file.read_text())
    bases = {p: Base(p, Path(args.demo), work_dir) for p in ('Sequential', 'Mask')}
    for seed in args.seeds:
        for task in TASKS:
            for name, (policy, trained) in VARIANTS.items():
                key = f'{task}, {name}, seed {seed}'
                if key not in known:
                    folder = work_dir / f'{task}_{policy.lower()}_{trained}_{seed}'
                    known[key] = run(bases[policy], task, trained, seed, folder)
                    file.write_text(json.dumps(known, indent=1))
                print(key, known[key], flush=True)
    return dict(old_scores={policy: base.scores for policy, base in bases.items()}, runs=known)


def table(found: dict, seeds: list[int]) -> str:
    """Mean and spread over the seeds, a row for each task and variant."""
    lines = ['| task | trained | score | added parameters | old tasks |', '|---|---|---|---|---|']
    for task in TASKS:
        for name in VARIANTS:
            runs = [found['runs'][f'{task}, {name}, seed {seed}'] for seed in seeds]
            scores = [run['score'] for run in runs]
            spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
            if name == 'all':
                means = {
                    old: statistics.mean(run['old_scores'][old] for run in runs)
                    for old in runs[0]['old_scores']
                }
                old = ', '.join(f'{old} {mean:.1f}' for old, mean in means.items())
            else:
                old = f'largest difference {max(run["largest_difference"] for run in runs):g}'
            added = statistics.mean(run['added'] for run in runs)
            score = f'{statistics.mean(scores):.1f} ± {spread:.1f}'
            lines.append(f'| {task} | {name} | {score} | {added:,.0f} | {old} |')
    return '\n'.join(lines)


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--demo', default='work_dirs/demo', help='where the demo was run')
    options.add_argument(
        '--work-dir', default='work_dirs/incremental', help='where everything goes'
    )
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    args = options.parse_args()
    # Data and configs are named from there.
    os.chdir(ROOT)
    found = dict(
        seeds=args.seeds,
        **measure(args),
    )
    print(table(found, args.seeds))
    for policy, scores in found['old_scores'].items():
        print(f'old tasks before, {policy}: {scores}')
    report(args, found)


if __name__ == '__main__':
    main()
