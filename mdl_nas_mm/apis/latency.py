"""Measures the latency of a backbone's parts on this machine, and how well their sum predicts."""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone, activate
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.elastic.plain import plain_config
from mdl_nas_mm.elastic.timed_parts import LatencyPart
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import ResolvedConfig, sampled_spaces, task_scope, validation_size
from mdl_nas_mm.utils.clock import Clock
from mdl_nas_mm.utils.device import hardware_name, usable_device
from mdl_nas_mm.utils.rank_correlation import pearson, spearman
from mdl_nas_mm.utils.task_names import check_tasks

from .head_latency import HeadMeter

Track = Callable[[Sequence], Iterable]


class LatencyMeter:
    """Runs a task's architectures as they are deployed, each a plain model of its own.

    Parts are timed inside of whole forward passes, so that caches are as they will be.

    Args:
        cfg: a resolved joint config; neither its weights nor its data are needed.
        task: whose architectures and settings of the backbone.
        input_size: (height, width); by default what the task's validation pipeline gives.
        batch_size: images of a forward pass.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: of the CPU.
        runs: timed forward passes of an architecture.
        warmup: passes before these.

    Raises:
        ValueError: there is no such task or device, or a number is not positive.
    """

    def __init__(
        self,
        cfg: ResolvedConfig,
        task: str,
        input_size: tuple[int, int] | None = None,
        batch_size: int = 1,
        device: str = 'cpu',
        threads: int = 1,
        runs: int = 10,
        warmup: int = 2,
    ) -> None:
        check_tasks('latency', [task], cfg.tasks)
        least = dict(batch_size=(batch_size, 1), threads=(threads, 1), runs=(runs, 1))
        for key, (value, smallest) in (least | dict(warmup=(warmup, 0))).items():
            if value < smallest:
                raise ValueError(f'latency: {key} is {value}, expected at least {smallest}')
        self.device = usable_device(device)
        self.cfg, self.config, self.task = cfg, cfg.model.backbone, task
        self.runs, self.warmup = runs, warmup
        self._running: ElasticBackbone | None = None
        self.supernet = _build(dict(self.config), 'meta')
        self.space = sampled_spaces(cfg, self.supernet.space)[task].root
        size = input_size or validation_size(cfg.search_dataloader[task], task)
        self.timing = Timing.of(
            self.supernet,
            task,
            size,
            batch_size=batch_size,
            device=self.device.type,
            threads=threads,
        )

    def measure(
        self, heads: Sequence[str] = (), seed: int = 0, track: Track = iter
    ) -> LatencyTable:
        """The table of all parts of the config's space.

        Args:
            heads: tasks whose necks and heads are timed as well; see ``HeadMeter``. Then the
                backbone runs as a controlled model does: narrow weights are cut in each pass.
            seed: of the architectures that the parts are timed in.
            track: wraps the architectures that are run, to show progress.

        Raises:
            ValueError: see ``HeadMeter``.
        """
        behind = HeadMeter(self.cfg, heads, self.device, self.runs, self.warmup) if heads else None
        self._running = behind.model.backbone if behind else None
        seen: dict[LatencyPart, list[float]] = {}
        specs = list(self.timing.timed.covering_specs(self.space, random.Random(seed)))
        for spec in track(specs):
            for part, milliseconds in self._parts(spec):
                seen.setdefault(part, []).append(milliseconds)
        medians = {part: float(np.median(seen[part])) for part in seen}
        about: dict[str, Any] = dict(
            hardware=hardware_name(self.device),
            python=platform.python_version(),
            torch=torch.__version__,
            task=self.task,
            space=self.space.to_config(),
            runs=self.runs,
            warmup=self.warmup,
        )
        if behind is None:
            return LatencyTable(self.timing, medians, about)
        with self._threads(), torch.inference_mode():
            times, errors = behind.measure(self._images(), seed, track)
        about['heads'] = dict(median_error=float(np.median(errors)), worst_error=max(errors))
        return LatencyTable(self.timing, medians, about, times)

    def compare(
        self, table: LatencyTable, count: int, seed: int = 1, track: Track = iter
    ) -> dict[str, Any]:
        """Predicted against measured latency of random architectures.

        Returns:
            ``predicted`` and ``measured`` milliseconds of each; ``median_error`` and
            ``worst_error``, in percent of the measured ones; ``pearson`` and ``spearman``
            correlation, None for fewer than two different architectures.
        """
        rng = random.Random(seed)
        specs = [self.space.sample(rng) for _ in range(count)]
        measured = np.array([self._whole(spec) for spec in track(specs)])
        predicted = np.array([table.predict(spec) for spec in specs])
        errors = 100 * np.abs(predicted - measured) / measured
        return dict(
            predicted=predicted.tolist(),
            measured=measured.tolist(),
            median_error=float(np.median(errors)),
            worst_error=float(errors.max()),
            pearson=pearson(predicted, measured),
            spearman=spearman(predicted, measured),
        )

    def compared(self, table: LatencyTable, result: Mapping[str, Any]) -> LatencyTable:
        """The table with what ``compare`` gave in it, for people and for whoever uses it."""
        keys = ('median_error', 'worst_error', 'pearson', 'spearman')
        comparison = {key: result[key] for key in keys}
        comparison['architectures'] = len(result['measured'])
        return replace(table, about={**table.about, 'comparison': comparison})

    def _whole(self, spec: SubnetSpec) -> float:
        """Median milliseconds of an architecture's forward pass."""
        times = []
        with self._prepared(spec) as (model, images):
            for _ in range(self.runs):
                clock = Clock(self.device)
                clock.mark()
                model(images)
                clock.mark()
                times += clock.gaps()
        return float(np.median(times))

    def _parts(self, spec: SubnetSpec) -> Iterator[tuple[LatencyPart, float]]:
        """Milliseconds of each part of an architecture in each of the runs."""
        with self._prepared(spec) as (model, images):
            clock, hooks = Clock(self.device), []
            names = self.supernet.family.block_names(spec, self.supernet.shape)
            for name in names:
                block = model.get_submodule(name)
                hooks.append(block.register_forward_pre_hook(lambda *_: clock.mark()))
                hooks.append(block.register_forward_hook(lambda *_: clock.mark()))
            for _ in range(self.runs):
                clock.marks.clear()
                clock.mark()
                model(images)
                clock.mark()
                yield from _assigned(self.timing.timed.parts(spec), clock.gaps())
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _prepared(self, spec: SubnetSpec) -> Generator[tuple[nn.Module, Tensor]]:
        """A warmed-up model of an architecture and its input, in the wanted number of threads."""
        if self._running is not None:
            tasks = self.supernet.family.task_settings.values()
            task = None if any(setting.selects for setting in tasks) else self.task
            with self._threads(), torch.inference_mode(), activate(task, spec):
                yield self._warmed(self._running)
            return
        settings = self.supernet.settings_of(self.task, spec)
        # A table is of all that any task may run; what a task runs of it is told by ``needed``.
        every = self.supernet.settings_of
        for key, setting in self.supernet.family.task_settings.items():
            if setting.selects:
                settings[key] = every(None, spec)[key]
        config = plain_config(
            self.config, settings, spec, self.supernet.family, self.supernet.shape
        )
        with self._threads(), torch.inference_mode():
            yield self._warmed(_build(config, self.device).eval())

    def _warmed(self, model: nn.Module) -> tuple[nn.Module, Tensor]:
        images = self._images()
        for _ in range(self.warmup):
            model(images)
        return model, images

    def _images(self) -> Tensor:
        shape = (self.timing.batch_size, self.supernet.shape.in_channels)
        return torch.rand(*shape, *self.timing.input_size, device=self.device)

    @contextmanager
    def _threads(self) -> Generator[None]:
        """The wanted number of threads inside the block."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self.timing.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def comparison_lines(table: LatencyTable, result: Mapping[str, Any]) -> Iterator[str]:
    """What ``LatencyMeter.compare`` found, as text, with a warning where a table is of no use."""
    measured = result['measured']
    yield f'random architectures: {min(measured):.2f} to {max(measured):.2f} ms'
    yield f'error: median {result["median_error"]:.1f} %, worst {result["worst_error"]:.1f} %'
    if table.heads:
        own = table.about['heads']
        yield (
            f'necks and heads of {", ".join(table.heads)}: error median {own["median_error"]:.1f} '
            f'%, worst {own["worst_error"]:.1f} %'
        )
    if result['pearson'] is not None and result['spearman'] is not None:
        yield f'correlation: Pearson {result["pearson"]:.3f}, Spearman {result["spearman"]:.3f}'
    try:
        table.check_useful()
    except ValueError as error:
        yield f'warning: {error}; a search refuses it unless told, by poor_table=True'


def _assigned(parts: Sequence[Any], gaps: Sequence[float]) -> list[tuple[Any, float]]:
    """Each part with its time, from gaps that are in turn before, in, before, in, ... a block.

    What passes outside of blocks counts for the last part that is none.
    """
    times, outside = [0.0] * len(parts), 0
    left = iter(gaps)
    for i, part in enumerate(parts):
        if part.kind == 'block':
            times[outside] += next(left)
            times[i] = next(left)
        else:
            outside = i
    times[outside] += next(left)
    return list(zip(parts, times))


def _build(config: dict, device: str | torch.device) -> ElasticBackbone:
    with task_scope('mdl_nas_mm'), torch.device(device):
        return MODELS.build(config)
