"""What a search leaves: its choice, the front of all budgets, and what a report is drawn from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdl_nas_mm.elastic.known import made_backbone
from mdl_nas_mm.spec import BatchLedger, Ledger, SubnetSpec
from mdl_nas_mm.spec.layer_counts import layer_counts
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.files import held, written_whole
from mdl_nas_mm.utils.jsonable import from_json
from mdl_nas_mm.utils.strict_json import MAX_BYTES, read_json

from .exact import Selection, pareto_front, select
from .history import History, Pair
from .plan import SearchPlan


@contextmanager
def alone_in(folder: str | Path) -> Iterator[None]:
    """Lets no other search write into a folder inside the block.

    Raises:
        ValueError: another one does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / '.search.lock', f'search: another process is searching in {folder}'):
        yield


def save_plan(
    folder: Path,
    plan: SearchPlan,
    ledger: Ledger,
    constraints: list[str],
    excluded: Iterable[Pair],
) -> None:
    """Writes what ``choose_again`` needs beside the history.

    Args:
        excluded: what of the history this search may not choose.
    """
    pairs = [dict(task=task, spec=spec.to_dict()) for task, spec in excluded]
    content = dict(plan=plan.to_dict(), constraints=constraints, excluded=pairs)
    _write_json(folder / 'search.json', content)
    if ledger.scores:
        with written_whole(folder / 'scores.npz') as temporary, open(temporary, 'wb') as file:
            np.savez(file, **ledger.scores)


def write_results(
    folder: Path,
    plan: SearchPlan,
    ledger: Ledger,
    scored: Mapping[str, Mapping[SubnetSpec, float]],
    chosen: Selection,
    log: list[dict],
    more: Mapping[str, Any],
) -> None:
    """Writes ``joint_spec.json``, ``front.json`` and ``report.json``.

    Args:
        scored: task -> architecture -> score, which the front is made of.
        more: what else the report shall have; see ``visualization.search_report``.
    """
    batch = BatchLedger(ledger, plan.with_heads)
    same = plan.evolution.same_for_all_tasks
    front = pareto_front(scored, batch, plan.weights, same)
    points = [dict(total=p.total, s_score=p.score, scores=p.scores) for p in front]
    specs = [dict(point, joint_spec=p.joint.to_dict()) for point, p in zip(points, front)]
    choice = dict(
        total=chosen.total,
        s_score=chosen.score,
        scores=chosen.scores,
        joint_spec=chosen.joint.to_dict(),
    )
    _write_json(folder / 'front.json', specs)
    report = dict(
        tasks=list(plan.metrics),
        metrics=plan.metrics,
        weights=plan.weights,
        budget=plan.budget,
        with_heads=plan.with_heads,
        chosen=choice,
        generations=log,
        front=points,
        **layer_counts(ledger, chosen.joint),
        **more,
    )
    _write_json(folder / 'report.json', report)
    # Last: where it is, the search is complete.
    _write_json(folder / 'joint_spec.json', dict(budget=plan.budget, **choice, generations=log))


def choose_again(history: str | Path, budget: int, folder: str | Path) -> Selection:
    """The best joint spec of another budget, out of what a search has scored.

    Writes what a search writes into ``folder``. Nothing is evaluated.

    Args:
        history: the ``history.jsonl`` of a search, with what lies beside it.

    Raises:
        FileNotFoundError: there is no such search.
        ValueError: nothing that was scored fits, a file is damaged, or another search is writing
            into ``folder``.
    """
    found, beside = History.read(history), Path(history).parent
    if not (beside / 'search.json').is_file():
        raise FileNotFoundError(f'{beside / "search.json"}, written with the history, is not there')
    name = str(beside / 'search.json')
    try:
        settings = read_json(name, name)
        plan = SearchPlan.from_dict({**settings['plan'], 'budget': budget})
        excluded = {(e['task'], SubnetSpec.from_dict(e['spec'])) for e in settings['excluded']}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f'{name}: damaged ({error!r})') from None
    ledger = _ledger(found.fingerprint, beside)
    scored: dict[str, dict[SubnetSpec, float]] = {task: {} for task in plan.metrics}
    for (task, spec), outcome in found.evaluations.items():
        if outcome.score is not None and (task, spec) not in excluded:
            scored[task][spec] = outcome.score
    batch, same = BatchLedger(ledger, plan.with_heads), plan.evolution.same_for_all_tasks
    chosen = select(scored, batch, budget, plan.weights, same)
    if chosen is None:
        points = pareto_front(scored, batch, plan.weights, same, max_points=2)
        least = f'; the smallest has {points[0].total:,}' if points else ''
        raise ValueError(
            f'search: no joint spec of what was scored has at most {budget:,} parameters{least}'
        )
    earlier = beside / 'report.json'
    log, more = [], dict(constraints=settings['constraints'], random=None)
    more.update(evaluations=len(found), saved_by_cache=0, failed=failures(found), seconds=None)
    if earlier.is_file():
        before = read_json(earlier, str(earlier), MAX_BYTES)
        missing = {'generations', *more} - set(before)
        if missing:
            raise ValueError(f'{earlier}: damaged ({min(missing)!r} is missing)')
        log = before['generations']
        more.update({key: before[key] for key in more})
    with alone_in(folder):
        write_results(Path(folder), plan, ledger, scored, chosen, log, more)
    return chosen


def failures(history: History) -> list[dict]:
    """The evaluations that failed, for the report."""
    return [
        dict(task=task, spec=spec.to_dict(), reason=reason)
        for task, spec, reason in history.failed()
    ]


def _ledger(header: Mapping[str, Any], folder: Path) -> Ledger:
    """The ledger of a search, from what its history says."""
    config = from_json(header['backbone'])
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        backbone = made_backbone(config, f'{folder / "history.jsonl"}: backbone')
    scores = {}
    if (folder / 'scores.npz').is_file():
        with np.load(folder / 'scores.npz') as arrays:
            scores = dict(arrays)
    return Ledger(backbone.layout, backbone.sharing, scores, header['heads'])


def _write_json(path: Path, content: Any) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False))
