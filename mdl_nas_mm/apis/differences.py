"""What the sub-tasks of a deposit differ in from their bases."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.header.contents import metric_of, unit_of
from mdl_nas_mm.methods.computation_sharing import Difference, difference_between, linear_layers
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.utils.amounts import shown_score


def base_and_sub_tasks(opened: Deposit) -> tuple[str, ...]:
    """The base of the deposit's first sub-task, and all sub-tasks of it.

    Raises:
        ValueError: no task is stored as a difference.
    """
    bases = {task: kind.bases for task, kind in opened.specific_kinds.items() if kind.bases}
    if not bases:
        raise ValueError(
            f'deposit {opened.path}: no task is a difference from another one; '
            'mdl-nas share-computation makes such'
        )
    base = next(iter(bases.values()))[0]
    return (base, *(task for task, own in bases.items() if base in own))


def difference_of(deposit: Deposit, task: str) -> Difference:
    """The difference of a sub-task's linear layers from those of its base."""
    (base,) = deposit.specific_kinds[task].bases
    theirs, ours = (deposit.load_task(each).backbone for each in (base, task))
    names = [f'{name}.weight' for name in linear_layers(ours)]
    return difference_between(theirs.state_dict(), ours.state_dict(), names)


def describe_differences(deposit: str | Path, trust: Collection[str] = ()) -> Iterator[str]:
    """What the sub-tasks of a deposit hold, line by line.

    Args:
        deposit: the file.
        trust: see ``Deposit``.
    """
    opened = Deposit(deposit, trust)
    for task, info in opened.tasks.items():
        kind = opened.specific_kinds[task]
        if not kind.bases:
            continue
        found = difference_of(opened, task)
        zero = len(found.zero_layers)
        yield (
            f'{task}: {100 * found.density:.2f} % of the weights of {kind.bases[0]} differ, '
            f'{zero} of {len(found.weights)} layers not at all'
        )
        yield (
            f'{task}: {found.elements:,} elements, {found.csr_bytes():,} bytes as compressed '
            f'sparse rows, {opened.size_of(kind.key):,} in the deposit'
        )
        if 'scored' in info:
            yield f'{task}: {metric_of(info)} = {shown_score(info["scored"], unit_of(info))}'


def facts_of(
    path: Path, task: str, stages: Mapping[str, ResolvedConfig], trust: Collection[str] = ()
) -> dict[str, Any]:
    """What a sub-task was trained with, and what came of it.

    Args:
        path: the deposit that has it.
        task: its name.
        stages: stage -> its config.
        trust: see ``Deposit``.
    """
    opened = Deposit(path, trust)
    info, found = opened.tasks[task], difference_of(opened, task)
    third = stages['activations'].train_cfg.step if 'activations' in stages else {}
    return dict(
        lambda_w=stages['gates'].train_cfg.step.get('lambda_w'),
        activations=(third.get('activations') or {}).get('coefficient'),
        frames=(third.get('frames') or {}).get('coefficient'),
        density=found.density,
        densities=found.densities,
        csr_bytes=found.csr_bytes(),
        metric=metric_of(info),
        score=info['scored'] / unit_of(info) if 'scored' in info else None,
    )
