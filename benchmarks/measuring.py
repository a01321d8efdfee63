"""What the benchmarks have in common: rounds in turn, what ran, peak memory of a process."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.utils.device import hardware_name


def medians(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each case.

    A round runs every case once, so that what else the machine does meets all of them alike;
    only ratios of these numbers mean anything. With one thread, seconds are those of the
    processor, which other processes disturb least.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = {name: [] for name in cases}
    for i in range(rounds + 1):
        for name, run in cases.items():
            start = clock()
            run()
            # The first round warms up.
            if i:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def ratios(seconds: Mapping[str, float], base: str) -> dict[str, float]:
    """How many times as long as ``base`` each case takes."""
    return {name: round(value / seconds[base], 3) for name, value in seconds.items()}


def training_step(model: nn.Module, images: Tensor) -> None:
    """Forward and backward, of all outputs."""
    model.zero_grad()
    sum(out.square().mean() for out in model(images)).backward()


def timed(spent: dict[str, float], name: str, function: Callable) -> Callable:
    """A function that adds its seconds to those of ``name``."""

    def wrapped(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - start

    return wrapped


def parser(doc: str) -> argparse.ArgumentParser:
    """With the option that all have; described by the first line of a script's docstring."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    options.add_argument('--write', help='JSON file for the result')
    return options


def arguments(doc: str, **choices: Sequence[str]) -> argparse.Namespace:
    """The options of a comparison in rounds, and others: name -> choices, by default all."""
    options = parser(doc)
    for name, values in choices.items():
        options.add_argument(f'--{name}', nargs='+', choices=values, default=list(values))
    options.add_argument('--rounds', type=int, default=7)
    options.add_argument('--threads', type=int, nargs='+', default=sorted({1, os.cpu_count()}))
    return options.parse_args()


def each_thread_count(measure: Callable[[], object], counts: Sequence[int]) -> dict[str, object]:
    """What ``measure`` gives with so many threads."""
    results = {}
    for threads in counts:
        torch.set_num_threads(threads)
        results[f'threads {threads}'] = measure()
    return results


def peak_mebibytes(build: Callable[[], Callable[[], object]]) -> float:
    """Memory that what ``build`` returns takes at most, above what it takes before it first runs.

    Measured in a process of its own. ``build`` has to be a function of a module.
    """
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        return pool.apply(_peak, (build,))


def _peak(build: Callable[[], Callable[[], object]]) -> float:
    torch.set_num_threads(1)
    run = build()
    before = _kibibytes('VmRSS')
    run()
    return (_kibibytes('VmHWM') - before) / 1024


def _kibibytes(key: str) -> int:
    """Of this process; unlike ``ru_maxrss``, ``VmHWM`` does not begin with the parent's peak."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def saved_mebibytes(run: Callable[[], object], model: nn.Module) -> float:
    """The most that autograd keeps at once for backward passes, beside a model's own tensors.

    Exact, whatever the allocator does: each storage counts once, from when it is saved until the
    graph gives it up.
    """
    own = {x.untyped_storage().data_ptr() for x in (*model.parameters(), *model.buffers())}
    users, now, most = Counter(), 0, 0

    class Saved:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            self.tensor, storage = tensor, tensor.untyped_storage()
            self.key, self.size = storage.data_ptr(), storage.nbytes()
            users[self.key] += 1
            if users[self.key] == 1 and self.key not in own:
                now += self.size
                most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            users[self.key] -= 1
            if not users[self.key] and self.key not in own:
                now -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        run()
    return most / 2**20


def machine() -> str:
    """Number and name of the processor's cores."""
    return f'{os.cpu_count()} cores, {hardware_name(torch.device("cpu"))}'


def report(args: argparse.Namespace, results: Mapping[str, object]) -> None:
    """Prints the results with what they were measured on, and keeps them."""
    left_out = ('--write', args.write, f'--write={args.write}')
    words = [word for word in sys.argv[1:] if word not in left_out]
    # Where files lie on a machine says nothing of the result.
    places = ('write', 'work_dir')
    result = dict(
        command=shlex.join(['python', f'benchmarks/{Path(sys.argv[0]).name}', *words]),
        options={key: value for key, value in vars(args).items() if value and key not in places},
        machine=machine(),
        # Of the last quarter of an hour, what the script itself makes of it included.
        load=round(os.getloadavg()[2], 1),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        **results,
    )
    text = json.dumps(result, indent=1)
    print(text)
    if args.write:
        Path(args.write).write_text(text + '\n')
