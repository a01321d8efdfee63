"""How far preferences control a trained model, from its config to a report on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.methods.ecmt import Controller, Evolution
from mdl_nas_mm.methods.ecmt.controllability import Trial, controllability
from mdl_nas_mm.search.losses import LossEvaluator, data_of_losses
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.utils.files import sha256_of, write_json


def measure_control(
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    predictor: str | Path,
    trial: Trial,
    folder: Path,
    settings: Evolution,
    alike: Sequence[Sequence[str]] = (),
    latency: str | Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measures losses on the validation images, into ``points.jsonl`` and ``report.json``.

    Args:
        cfg: the resolved joint config of the model.
        checkpoint: its trained supernet.
        predictor: the file with the predictor of its losses.
        trial: what is asked.
        folder: of the two files; a measurement that was interrupted goes on there.
        settings, alike, latency, sizes: see ``Controller.of``.
        on_done: called with how many losses are measured, and how many there are.

    Returns:
        What ``controllability`` gives.

    Raises:
        FileNotFoundError, ValueError: see ``Controller.of`` and ``controllability``.
    """
    trial.check(cfg.tasks)
    controller = Controller.of(cfg, predictor, sizes or {}, settings, alike, latency)
    controller.limit(trial.budget)
    evaluator = LossEvaluator(load_supernet(cfg, checkpoint), cfg, split='val')
    data = data_of_losses(cfg, checkpoint, 'val') | dict(predictor=sha256_of(predictor))
    file = folder / 'points.jsonl'
    found = controllability(controller, evaluator, trial, file, data, on_done)
    write_json(folder / 'report.json', found)
    return found
