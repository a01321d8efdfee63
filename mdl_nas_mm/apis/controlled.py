"""Deposits whose architectures are chosen when they are used: made, and one of them taken out."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mdl_nas_mm.deposit import Deposit, extract, pack
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.methods.ecmt import Controller, Evolution
from mdl_nas_mm.methods.ecmt.file import WHOLE_SPACE, control_of, load_controlled
from mdl_nas_mm.methods.ecmt.preferences import check_request
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.tasks.input_size import validation_size
from mdl_nas_mm.utils.amounts import check_at_least
from mdl_nas_mm.utils.budgets import read_budget
from mdl_nas_mm.utils.files import sha256_of

from .tasks import task_infos

# What a deposit says of tasks and packs anew, or that is of another architecture.
_OF_ARCHITECTURE = ('spec', 'region', 'params', 'needs', 'scored', 'stored')


def controller_of_file(
    path: str | Path,
    settings: Evolution | Mapping[str, int] | None = None,
    alike: Sequence[Sequence[str]] = (),
    latency: str | Path | None = None,
    trust: Collection[str] = (),
) -> Controller:
    """That of a controlled deposit.

    Args:
        path: the file.
        settings: of its searches; of a mapping the others, and by default all, are those of the
            file.
        alike: sets of related tasks; by default those of the file.
        latency, trust: see ``load_controlled``.

    Raises:
        FileNotFoundError, ValueError: see ``load_controlled`` and ``Controller``.
    """
    found = load_controlled(path, trust, latency).controller
    if not isinstance(settings, Evolution):
        settings = replace(found.evolution, **(settings or {}))
    alike = alike or found.alike
    return Controller(found.columns, found.predictor, found.costs, settings, alike)


def make_controlled(
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    predictor: str | Path,
    path: str | Path,
    *,
    budgets: Sequence[str] = (),
    preferences: Sequence[Mapping[str, float]] = (),
    latency: Sequence[str | Path] = (),
    alike: Sequence[Sequence[str]] = (),
    cycles: int = 10,
    images: int = 16,
    sizes: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    trust: Collection[str] = (),
) -> ControlledModel:
    """Calibrates a grid of architectures of a trained model, and writes it with them.

    Args:
        cfg: a resolved joint config.
        checkpoint: the trained supernet.
        predictor: the file with the predictor of its losses.
        path: the deposit to write.
        budgets, preferences: of the grid; by default no budget, and each task alone and all alike.
        latency: tables of machines where it runs; the first is for ``budgets``.
        alike: sets of related tasks, whose decoders get one width.
        cycles: mutations of each search.
        images: training images to calibrate with.
        sizes: task -> (height, width) of images; of others that of their validation.
        trust: see ``mdl_nas_mm.deposit.pack``.

    Raises:
        FileNotFoundError, ValueError: see ``Controller.of``, ``ControlledModel.of`` and
            ``save_controlled``.
    """
    check_at_least(images, 1, 'images')
    if cfg.get('subspace') is not None:
        raise ValueError(WHOLE_SPACE)
    for budget in budgets:
        read_budget(budget)
    sizes = {
        task: sizes.get(task) or validation_size(cfg.val_dataloader[task], task)
        for task in cfg.tasks
    }
    tables = [LatencyTable.load(file) for file in latency]
    first = tables[0] if tables else None
    settings = Evolution(cycles=cycles)
    controller = Controller.of(cfg, predictor, sizes, settings, alike, first)
    for budget in budgets:
        controller.limit(budget)
    controlled = ControlledModel.of(cfg, checkpoint, controller, images)
    alone = [{task: 1.0} for task in cfg.tasks] + [dict.fromkeys(cfg.tasks, 1.0)]
    controlled.add_to_front(budgets or [None], preferences or alone)
    save_controlled(cfg, checkpoint, controlled, path, sizes, tables, trust)
    return controlled


def save_controlled(
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    controlled: ControlledModel,
    path: str | Path,
    sizes: Mapping[str, tuple[int, int]],
    tables: Sequence[LatencyTable] = (),
    trust: Collection[str] = (),
) -> Counts:
    """Writes a deposit of the largest architectures, which can become any other.

    Args:
        cfg: the resolved joint config of the model.
        checkpoint: its trained weights.
        controlled: the model with its front; its largest architecture is the active one then.
        path: the file to write.
        sizes: task -> (height, width) of images that multiply-adds were counted with.
        tables: latency tables of machines where it runs.
        trust: see ``mdl_nas_mm.deposit.pack``.

    Raises:
        ValueError: see ``mdl_nas_mm.deposit.pack`` and ``control_of``.
    """
    control = control_of(cfg.model, controlled, sizes, tables)
    largest = controlled.largest()
    controlled.switch(largest)
    return pack(
        path,
        controlled.model,
        largest.found.joint,
        cfg.model.backbone,
        task_infos(cfg, {}),
        dict(checkpoint=sha256_of(checkpoint)),
        trust,
        control=control,
    )


def extract_chosen(
    path: str | Path,
    task: str,
    out_dir: str | Path,
    budget: str | None = None,
    prefer: Mapping[str, float] | None = None,
    stock: bool | None = None,
    trust: Collection[str] = (),
    latency: str | Path | None = None,
    training: Mapping[str, Any] | None = None,
) -> str:
    """Searches for an architecture, calibrates it, and writes it as ``mdl_nas_mm.deposit.extract``
    does.

    Args:
        path: a controlled deposit.
        task: its name in the deposit.
        out_dir, stock, trust, training: see ``mdl_nas_mm.deposit.extract``.
        budget, prefer: see ``Controller.configure``.
        latency: see ``load_controlled``.

    Returns:
        The path of the config.

    Raises:
        FileNotFoundError, ValueError: see ``load_controlled``, ``Controller.configure`` and
            ``mdl_nas_mm.deposit.extract``.
    """
    deposit = Deposit(path, trust)
    deposit.check_task(task)
    check_request(budget, prefer, list(deposit.tasks))
    controlled = load_controlled(path, trust, latency)
    member, _ = controlled.search(budget, prefer)
    models = deposit.control().about['models']
    infos = {
        name: {k: v for k, v in info.items() if k not in _OF_ARCHITECTURE}
        | dict(model=models[name])
        for name, info in deposit.tasks.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        static = Path(folder) / Path(path).name
        backbone, origin = deposit.manifest['backbone'], deposit.manifest['provenance']
        pack(static, controlled.model, member.found.joint, backbone, infos, origin, trust)
        return extract(static, task, out_dir, stock, trust, training)
