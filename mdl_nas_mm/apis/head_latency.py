"""Measures what tasks take behind their backbone on this machine, by the widths of heads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.head_times import HeadTimes, TimedLayer
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig, sampled_spaces, task_scope
from mdl_nas_mm.tasks.timed_layers import shapes_of, timed_layers_of
from mdl_nas_mm.utils.clock import Clock

# Architectures that are fitted, the largest and the smallest among them, and those to compare with.
FITTED, COMPARED = 24, 6

_Runs = dict[str, tuple[float, dict[TimedLayer, float]]]


class HeadMeter:
    """Runs what tasks have behind their backbone, on features of random architectures.

    Args:
        cfg: a resolved joint config; neither its weights nor its data are needed.
        tasks: whose necks and heads; they have one backbone.
        device: where they run.
        runs, warmup: timed passes of an architecture, and passes before these.

    Raises:
        ValueError: there is no such task, tasks have different spaces of the backbone, or an
            elastic part does not tell its layers.
    """

    def __init__(
        self,
        cfg: ResolvedConfig,
        tasks: Sequence[str],
        device: torch.device,
        runs: int,
        warmup: int,
    ) -> None:
        for task in tasks:
            if task not in cfg.tasks:
                raise ValueError(f'latency: unknown task {task!r}, expected {sorted(cfg.tasks)}')
        self.device, self.runs, self.warmup = device, runs, warmup
        with task_scope('mdl_nas_mm'):
            self.model: MultiTaskModel = MODELS.build(cfg.model).to(device).eval()
        spaces = sampled_spaces(cfg, self.model.backbone.space)
        self.columns = JointColumns({task: spaces[task] for task in tasks})
        for task in tasks:
            timed_layers_of(self.model, task, self.columns.spaces[task].largest())

    def measure(
        self, images: Tensor, seed: int = 0, track: Callable = iter
    ) -> tuple[dict[str, HeadTimes], list[float]]:
        """Task -> times; and errors, in percent, for architectures that were not fitted.

        Args:
            images: (B, C, H, W), on the device.
            seed: of the architectures.
            track: wraps them, to show progress.
        """
        top, rng = self.columns.choices - 1, np.random.default_rng(seed)
        rows = np.stack([top, 0 * top, *self.columns.sample(FITTED - 2 + COMPARED, rng)])
        measured = [self._row(row, images) for row in track(rows)]
        found = {}
        for task in self.columns.spaces:
            own = [of_row[task] for of_row in measured[:FITTED]]
            found[task] = HeadTimes.fitted(own, shapes_of(self.model, task))
        errors = []
        for of_row in measured[FITTED:]:
            for task, (rest, layers) in of_row.items():
                total = rest + sum(layers.values())
                errors.append(100 * abs(found[task].predict(list(layers)) - total) / total)
        return found, errors

    def _row(self, row: np.ndarray, images: Tensor) -> _Runs:
        """Median milliseconds of each task's layers, and of the rest, in one architecture.

        Tasks take turns, so that no weights are left in caches.
        """
        specs = {task: self.columns.spec(task, row) for task in self.columns.spaces}
        features = {t: self.model.features(t, spec, images) for t, spec in specs.items()}
        gaps: dict[str, list[list[float]]] = {task: [] for task in specs}
        for number in range(self.warmup + self.runs):
            for task, spec in specs.items():
                times = self._times(task, spec, images, features[task])
                if number >= self.warmup:
                    gaps[task].append(times)
        found: _Runs = {}
        for task, spec in specs.items():
            rest, *own = np.median(gaps[task], axis=0).tolist()
            found[task] = rest, dict(zip(timed_layers_of(self.model, task, spec), own, strict=True))
        return found

    def _times(
        self, task: str, spec: SubnetSpec, images: Tensor, features: Sequence[Tensor]
    ) -> list[float]:
        """Milliseconds before the first elastic layer, and from each of them to the next."""
        clock, upstream = Clock(self.device), self.model.tasks[task]
        key = self.model.backbone.pass_key(task, spec.root)
        with self._marked(task, spec, clock), self.model.scope(task), activate(task, spec):
            with SharedPass() as shared:
                shared.put(key, images, features)
                clock.mark()
                upstream(images, mode='tensor')
                clock.mark()
        return clock.gaps()

    @contextmanager
    def _marked(self, task: str, spec: SubnetSpec, clock: Clock) -> Generator[None]:
        """Marks the beginning of each elastic layer inside the block."""
        upstream: nn.Module = self.model.tasks[task]
        with ExitStack() as stack:
            for layer in timed_layers_of(self.model, task, spec):
                module = upstream.get_submodule(layer.name)
                hook = module.register_forward_pre_hook(lambda *_: clock.mark())
                stack.callback(hook.remove)
            yield
