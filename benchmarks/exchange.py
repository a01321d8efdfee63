"""What processes exchange in a joint step, when they do it, and what each holds in memory.

    python benchmarks/exchange.py [--processes 2] [--write benchmarks/results/NAME.json]

Trains the demo's joint config (its data is written first, where it is not there) in groups of
processes over gloo, three steps, and reports of the last one:

- bytes given to all-reduces, against the bytes, once, of all gradients that other processes have
  as well;
- how much of the exchange happens while the backward pass still runs, from a trace of
  torch.profiler; ``--trace FOLDER`` keeps the traces for chrome://tracing;
- bytes of each rank's weights, gradients and optimizer state, against the sum that its tasks need
  by themselves, with the three tasks and with four times as many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from measuring import parser, report

ROOT = Path(__file__).parents[1]
STEPS = 3
# The demo's model would fit into one bucket of the usual size.
BUCKET_BYTES = 2**18


def prepare(work_dir: str, copies: int):
    """The demo's joint training by sandwich, with nothing beside it, each task several times."""
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / 'configs/demo/demo_joint.py')
    cfg.merge_from_dict(dict(work_dir=work_dir, load_from=None, val_cfg=None, launcher='pytorch'))
    sandwich = dict(type='SandwichSampler', num_random=1)
    cfg.train_cfg.update(max_iters=STEPS, sampler=sandwich)
    cfg.default_hooks.checkpoint = cfg.param_scheduler = None
    if copies > 1:
        cfg.tasks = {f'{t}_{i}': cfg.tasks[t] for i in range(copies) for t in cfg.tasks}
    return cfg


def train(work_dir: str, copies: int) -> None:
    """Trains in one of several processes, and writes what it has seen."""
    from mmengine.hooks import Hook
    from torch.profiler import ProfilerActivity, profile

    from mdl_nas_mm.engine import MultiTaskRunner
    from mdl_nas_mm.engine import runner as runner_module

    runner_module.GradientReducer = partial(
        runner_module.GradientReducer, bucket_bytes=BUCKET_BYTES
    )
    runner = MultiTaskRunner.from_cfg(prepare(work_dir, copies))
    sent, original = [], dist.all_reduce

    class Watch(Hook):
        """Traces the last step alone."""

        def before_train_iter(self, runner, batch_idx, **kwargs) -> None:
            if batch_idx == STEPS - 1:
                self.profiler = profile(activities=[ProfilerActivity.CPU])
                self.profiler.__enter__()
                dist.all_reduce = counting

        def after_train_iter(self, runner, batch_idx, **kwargs) -> None:
            if batch_idx == STEPS - 1:
                dist.all_reduce = original
                self.profiler.__exit__(None, None, None)

    def counting(tensor, *args, **kwargs):
        if tensor.numel() > 1:
            sent.append(tensor.numel() * tensor.element_size())
        return original(tensor, *args, **kwargs)

    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    trace = Path(work_dir) / f'rank{runner.ranks.rank}.trace.json'
    watch.profiler.export_chrome_trace(str(trace))
    parameters = [p for p in runner.model.parameters() if p.requires_grad]
    states = runner.optim_wrapper.optimizer.state.values()
    state = sum(t.nbytes for s in states for t in s.values() if torch.is_tensor(t))
    exchanged = [p for buckets in runner.reducer.sets for b in buckets for p in b.parameters]
    seen = dict(
        tasks=list(runner.ranks.tasks),
        sent=sum(sent),
        gradients=sum(p.nbytes for p in exchanged),
        held=2 * sum(p.nbytes for p in parameters) + state,
        overlap=overlap(json.loads(trace.read_text())['traceEvents']),
    )
    Path(work_dir, f'rank{runner.ranks.rank}.json').write_text(json.dumps(seen))


def overlap(events: list[dict]) -> dict[str, float]:
    """How the exchange of gradients lies beside the last backward pass.

    Returns:
        ``begun``: share of the all-reduces that were begun while it ran; ``ran``: share of the
        time of all all-reduces in which it ran. A rank that is done before the others waits for
        them in an all-reduce, so that ``ran`` says most of the slowest rank.
    """
    spans = [e for e in events if e.get('ph') == 'X']
    exchanges = [e for e in spans if 'gloo:all_reduce' in e['name']]
    begun = [e['ts'] for e in spans if e['name'] == 'c10d::allreduce_']
    backward = [e for e in spans if e['name'].startswith('autograd::engine::evaluate_function')]
    end = max(e['ts'] + e['dur'] for e in backward)
    total = sum(e['dur'] for e in exchanges)
    ran = sum(max(0, min(end, e['ts'] + e['dur']) - e['ts']) for e in exchanges)
    # What follows are the few numbers of clipping and of the log.
    before = [start for start in begun if start < end]
    return dict(begun=len(before) / len(begun), ran=ran / total if total else 0.0)


def run(processes: int, copies: int, folder: str) -> list[dict]:
    """Each rank's report of a run of its own."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    command = ['torchrun', '--standalone', f'--nproc-per-node={processes}', __file__]
    command += ['--train', folder, '--copies', str(copies)]
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    environment['CUDA_VISIBLE_DEVICES'] = ''
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return [json.loads(Path(folder, f'rank{i}.json').read_text()) for i in range(processes)]


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--processes', type=int, default=3)
    options.add_argument('--trace', help='folder that keeps the traces')
    options.add_argument('--train', help=argparse.SUPPRESS)
    options.add_argument('--copies', type=int, default=1, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.train:
        train(args.train, args.copies)
        return
    from mdl_nas_mm.datasets import write_demo_data

    write_demo_data(ROOT / 'data/demo')
    with tempfile.TemporaryDirectory() as folder:
        three = run(args.processes, 1, args.trace or f'{folder}/three')
        twelve = run(4 * args.processes, 4, f'{folder}/twelve')
    result = dict(
        note='one machine over gloo; all processes share its cores',
        sent_over_gradients=[round(r['sent'] / r['gradients'], 5) for r in three],
        bucket_bytes=BUCKET_BYTES,
        exchange_during_backward=[
            {key: round(value, 3) for key, value in r['overlap'].items()} for r in three
        ],
        held_bytes=[r['held'] for r in three],
        held_bytes_with_four_times_the_tasks=[r['held'] for r in twelve],
        tasks=[r['tasks'] for r in three],
    )
    report(args, result)


if __name__ == '__main__':
    sys.exit(main())
