"""What ``mdl-nas deposit COMMAND`` does, all but ``list``, as lines to print."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.device import get_device

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit import extract as write_task
from mdl_nas_mm.deposit import remove as remove_task
from mdl_nas_mm.header.contents import tasks_of
from mdl_nas_mm.methods.ecmt.preferences import read_preferences
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.tasks import own_training

from . import deposits
from .controlled import extract_chosen
from .tasks import save_deposit


def run(said: Mapping[str, Any], trust: Collection[str]) -> Iterator[str]:
    """Runs one of the commands below.

    Args:
        said: by the command line: ``command``, its name, and its options.
        trust: see ``Deposit``.
    """
    commands: dict[str, Callable[..., Iterator[str]]]
    commands = dict(pack=pack, add=add, verify=verify, extract=extract, remove=remove, test=test)
    options = {key: value for key, value in said.items() if key not in ('command', 'imports')}
    return commands[said['command']](**dict(options, trust=trust))


def pack(
    deposit: str,
    config: str,
    checkpoint: str,
    joint_spec: str | None,
    scored: bool,
    trust_checkpoint: bool,
    trust: Collection[str],
) -> Iterator[str]:
    """Writes a deposit of the chosen subnets of a supernet; see ``save_deposit``."""
    cfg, joint = deposits.read_chosen(config, joint_spec, trust_checkpoint)
    counts = save_deposit(cfg, checkpoint, joint, deposit, scored, trust)
    yield from _added(deposit, joint, 0, counts)


def add(
    deposit: str,
    config: str,
    checkpoint: str,
    joint_spec: str | None,
    scored: bool,
    difference_from: str | None,
    trust_checkpoint: bool,
    trust: Collection[str],
) -> Iterator[str]:
    """Adds tasks that were trained on top of a deposit; see ``add_to_deposit``."""
    before = Deposit(deposit, trust).counts.total
    cfg, joint = deposits.read_chosen(config, joint_spec, trust_checkpoint)
    stored = {}
    if difference_from is not None:
        stored = dict.fromkeys(joint, dict(type='SparseDifference', base=difference_from))
    given = (cfg, checkpoint, joint, deposit, scored, trust, stored)
    yield from _added(deposit, joint, before, deposits.add_to_deposit(*given))


def verify(
    deposit: str | None,
    after: str | None,
    before: str | None,
    images: Sequence[str],
    data: bool,
    trust: Collection[str],
) -> Iterator[str]:
    """Checks every hash, and that tasks answer as before; see ``verify_lines``."""
    path = deposit or after
    assert path is not None
    yield from deposits.verify_lines(path, data, before, images, get_device(), trust)


def extract(
    deposit: str,
    task: str,
    out: str,
    stock: bool | None,
    training: str | None,
    budget: str | None,
    prefer: Sequence[str] | None,
    latency: str | None,
    trust: Collection[str],
) -> Iterator[str]:
    """Writes a config and a checkpoint for other tools; see ``extract`` and ``extract_chosen``."""
    trained = None if training is None else own_training(training, task)
    if budget is None and prefer is None:
        yield write_task(deposit, task, out, stock, trust, trained)
        return
    wanted = None if prefer is None else read_preferences(prefer, tasks_of(deposit))
    yield extract_chosen(deposit, task, out, budget, wanted, stock, trust, latency, trained)


def remove(deposit: str, task: str, trust: Collection[str]) -> Iterator[str]:
    """Removes a task."""
    left = remove_task(deposit, task, trust).total
    yield f'{deposit}: {left:,} parameters are left'


def test(deposit: str, task: str | None, trust: Collection[str]) -> Iterator[str]:
    """Evaluates tasks on their validation split."""
    yield from deposits.score_lines(deposit, task, get_device(), trust)


def _added(deposit: str, tasks: Iterable[str], before: int, counts: Counts) -> Iterator[str]:
    yield f'added {", ".join(tasks)}: {counts.total - before:,} parameters'
    yield f'{deposit}: {counts.total:,} parameters, {counts.separate:,} as separate models'
