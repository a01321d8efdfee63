"""Deposits whose architectures are chosen when they are used: made, and one of them taken out."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mdl_nas_mm.deposit import Deposit, extract, pack
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.methods.ecmt.file import control_of, load_controlled
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.utils.files import sha256_of

from .tasks import task_infos

# What a deposit says of tasks and packs anew, or that is of another architecture.
_OF_ARCHITECTURE = ('spec', 'region', 'params', 'needs', 'scored', 'stored')


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
) -> str:
    """Searches for an architecture, calibrates it, and writes it as ``mdl_nas_mm.deposit.extract``
    does.

    Args:
        path: a controlled deposit.
        task: its name in the deposit.
        out_dir, stock, trust: see ``mdl_nas_mm.deposit.extract``.
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
        return extract(static, task, out_dir, stock, trust)
