"""New tasks for a deposit, in stages that can be interrupted; and what happens without freezing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.verify import largest_differences
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.header.contents import metric_of, unit_of
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import build_eval_loader, given_spec, resolve_joint_config
from mdl_nas_mm.utils.config_file import plain_text
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.torch_file import write_torch_file

from .deposits import add_to_deposit
from .pipeline import Stages, train_stage, trained_checkpoint


def add_tasks(
    deposit: str | Path, configs: Mapping[str, Config], stages: Stages, processes: int = 1
) -> dict:
    """Trains new tasks on a deposit, and adds them to a copy of it, one after the other.

    Args:
        deposit: the base; stays as it is.
        configs: stage -> config of new tasks, whatever ``base`` it names.
        stages: have these names, and ``add``, in the folder of which the new deposit lies.
        processes: see ``train_stage``.

    Returns:
        ``deposit``, the new file; ``tasks``: new task -> its ``metric``, ``score``, the ``unit``
        that it is shown in (see ``unit_of``) and ``added`` parameters, head included;
        ``differences``: old task -> the largest absolute difference of its answers on validation
        images; ``seconds``.

    Raises:
        RuntimeError: an old task does not answer as before.
        FileNotFoundError, ValueError: a config does not fit the deposit; see ``resolve_base``.
    """
    trained = []
    for name, cfg in configs.items():
        cfg.base = str(deposit)
        cfg = resolve_joint_config(cfg)
        train = partial(train_stage, cfg, processes=processes)
        folder = stages.run(name, plain_text(cfg), train)
        trained.append((cfg, trained_checkpoint(folder)))
    folder = stages.run('add', '', lambda f: _add_all(Path(deposit), trained, f))
    summary = json.loads((folder / 'added.json').read_text())
    return dict(summary, deposit=str(folder / 'deposit.safetensors'), seconds=stages.seconds())


def _add_all(old: Path, trained: list[tuple[Config, Path]], folder: Path) -> None:
    """Makes ``deposit.safetensors`` and ``added.json``."""
    new = folder / 'deposit.safetensors'
    shutil.copyfile(old, new)
    with quiet():
        for cfg, checkpoint in trained:
            add_to_deposit(cfg, checkpoint, given_spec(cfg), new, scored=True)
        found = largest_differences(old, new, validation_images(old))
    for task, difference in found.items():
        if difference:
            raise RuntimeError(f'{new}: the answers of {task!r} differ by {difference}')
    before, after = Deposit(old), Deposit(new)
    tasks = {
        task: dict(
            metric=metric_of(info),
            score=info['scored'],
            unit=unit_of(info),
            added=after.counts.specific[task] + after.counts.heads[task],
        )
        for task, info in after.tasks.items()
        if task not in before.tasks
    }
    write_json(folder / 'added.json', dict(tasks=tasks, differences=found))


def validation_images(deposit: str | Path) -> list[np.ndarray]:
    """The first validation image of each task, (H, W, 3), as its data set gives it."""
    images = []
    opened = Deposit(deposit)
    for task, info in opened.tasks.items():
        loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
        images.append(np.ascontiguousarray(loader.dataset[0]['inputs'].numpy().transpose(1, 2, 0)))
    return images


def overwrite_shared(supernet: str | Path, trained: str | Path, out: str | Path) -> None:
    """Writes a supernet's checkpoint with the shared weights of a training that froze nothing.

    Evaluated with ``mdl-nas test`` it says what that training made of the supernet's tasks.

    Args:
        supernet: the checkpoint from which the training (``trained='all'``) started.
        trained: what it ended with.
        out: the checkpoint to write; without an optimizer's state.

    Raises:
        FileNotFoundError, ValueError: see ``read_checkpoint``; or the other checkpoint has not
            all shared weights.
    """
    first, second = read_checkpoint(supernet), read_checkpoint(trained)
    state = dict(first['state_dict'])
    for key, weight in state.items():
        if owners_of(key).are_all:
            other = second['state_dict'].get(key)
            if other is None or other.shape != weight.shape:
                raise ValueError(f'checkpoint {trained}: no shared weight {key!r} of this shape')
            state[key] = other
    write_torch_file(out, dict(meta=first['meta'], state_dict=state))
