"""Where the time of a joint step goes, and what processes in groups make of it.

    python benchmarks/joint_step.py [--steps 30] [--rounds 3] [--write benchmarks/results/NAME.json]

Runs the joint training of the demo (its data is written first, where it is not there):

- in one process, with the time that the loop takes for itself: sampling architectures, activating
  them, masks of what stays frozen, putting losses together, hooks (logging among them);
- in turn in one process with as many threads as there are processes in the other run, and in
  groups of processes with one thread each; rounds of the two alternate, and the ratio is that of
  their medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from measuring import parser, report, timed

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/demo/demo_joint.py'
WARM_UP = 5


def prepare(work_dir: str, steps: int):
    """The demo's joint training by sandwich: no validation, checkpoints, schedules, weights."""
    from mmengine.config import Config

    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(dict(work_dir=work_dir, load_from=None, val_cfg=None))
    sandwich = dict(type='SandwichSampler', num_random=1)
    cfg.train_cfg.update(max_iters=steps, sampler=sandwich)
    cfg.default_hooks.checkpoint = cfg.param_scheduler = None
    return cfg


def train(work_dir: str, steps: int, launcher: str) -> None:
    """Trains, and prints the mean seconds of a step but for the first ones."""
    from mmengine.hooks import Hook

    from mdl_nas_mm.engine import MultiTaskRunner

    class Clock(Hook):
        """Notes when steps end."""

        ends: list[float] = []

        def after_train_iter(self, runner, *args, **kwargs) -> None:
            self.ends.append(time.perf_counter())

    cfg = prepare(work_dir, steps)
    cfg.launcher = launcher
    runner, clock = MultiTaskRunner.from_cfg(cfg), Clock()
    runner.register_hook(clock)
    runner.train()
    if runner.ranks.rank == 0:
        seconds = (clock.ends[-1] - clock.ends[WARM_UP - 1]) / (len(clock.ends) - WARM_UP)
        print(f'SECONDS {seconds}')


def own_time(steps: int) -> dict[str, float]:
    """Seconds of a step in all, and of it what the loop takes for itself, by what for."""
    from mdl_nas_mm.engine import MultiTaskRunner, step
    from mdl_nas_mm.tasks import model

    spent: dict[str, float] = defaultdict(float)

    with tempfile.TemporaryDirectory() as folder:
        runner = MultiTaskRunner.from_cfg(prepare(folder, steps))
        sampler = runner.train_loop.sampler
        sampler.propose = timed(spent, 'sampling', sampler.propose)
        step.partial_masks = timed(spent, 'masks', step.partial_masks)
        model.activate = timed(spent, 'activating', model.activate)
        runner.train_loop.gather_losses = timed(spent, 'losses', runner.train_loop.gather_losses)
        call, timed_call = runner.call_hook, timed(spent, 'hooks', runner.call_hook)
        # What begins and ends a training is no part of a step.
        runner.call_hook = lambda name, **kwargs: (timed_call if name.endswith('_iter') else call)(
            name, **kwargs
        )
        runner.train_loop.run_iter = timed(spent, 'step', runner.train_loop.run_iter)
        runner.train()
    return {name: seconds / steps for name, seconds in spent.items()}


def run(processes: int, threads: int, steps: int) -> float:
    """Seconds of a step of a run of its own."""
    start = [sys.executable]
    if processes > 1:
        start = ['torchrun', '--standalone', f'--nproc-per-node={processes}']
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        launcher = 'pytorch' if processes > 1 else 'none'
        command = [*start, __file__, '--train', folder, '--steps', str(steps), '--as', launcher]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(done.stdout.rpartition('SECONDS ')[2].split()[0])


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--steps', type=int, default=30)
    options.add_argument('--rounds', type=int, default=3)
    options.add_argument('--processes', type=int, default=os.cpu_count())
    options.add_argument('--train', help=argparse.SUPPRESS)
    options.add_argument('--as', dest='launcher', default='none', help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.steps <= WARM_UP:
        options.error(f'--steps: the first {WARM_UP} warm up, so that more are needed')
    if args.train:
        train(args.train, args.steps, args.launcher)
        return
    from mdl_nas_mm.datasets import write_demo_data

    write_demo_data(ROOT / 'data/demo')
    seconds = own_time(args.steps)
    loop = sum(seconds[name] for name in ('sampling', 'activating', 'losses', 'hooks'))
    rounds = [
        (run(1, args.processes, args.steps), run(args.processes, 1, args.steps))
        for _ in range(args.rounds)
    ]
    in_turn, in_groups = (statistics.median(values) for values in zip(*rounds))
    result = dict(
        loop_share_percent=round(100 * loop / seconds['step'], 2),
        masks_share_percent=round(100 * seconds['masks'] / seconds['step'], 2),
        own_seconds={name: round(value, 5) for name, value in seconds.items()},
        processes=args.processes,
        in_turn_over_in_groups=round(in_turn / in_groups, 3),
        rounds=[[round(value, 3) for value in pair] for pair in rounds],
    )
    report(args, result)


if __name__ == '__main__':
    main()
