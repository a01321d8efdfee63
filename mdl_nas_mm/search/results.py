"""What a search leaves: its choice, the front of all budgets, and what a report is made from."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict

from mdl_nas_mm.elastic.known import made_backbone, part_class
from mdl_nas_mm.elastic.supernet import Supernet
from mdl_nas_mm.registry import SEARCH_SCORES
from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layer_counts import layer_counts
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.elastic_parts import members_of, part_spaces
from mdl_nas_mm.tasks.part_flops import PartFlops, weightless
from mdl_nas_mm.tasks.timed_layers import PartTimes
from mdl_nas_mm.trust import check_config
from mdl_nas_mm.utils.files import held, write_json, written_whole
from mdl_nas_mm.utils.jsonable import from_json
from mdl_nas_mm.utils.registries import registered_here
from mdl_nas_mm.utils.strict_json import MAX_BYTES, read_json
from mdl_nas_mm.utils.torch_file import check_records

from .constraints import Constraints
from .history import History
from .plan import SearchPlan, parse_budget
from .predictor import Predictor
from .problem import SearchProblem, make_cost, make_selection
from .scored import Pair, ScoredJoint, scored_joints


@contextmanager
def alone_in(folder: str | Path) -> Generator[None]:
    """Lets no other search write into a folder inside the block.

    Raises:
        ValueError: another one does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / '.search.lock', f'search: another process is searching in {folder}'):
        yield


def save_problem(folder: Path, problem: SearchProblem, known: Iterable[Pair]) -> None:
    """Writes what ``choose_again`` needs beside the history.

    Args:
        folder: where the history is.
        problem: what the search is about.
        known: what the history has from earlier searches.
    """
    excluded = [dict(task=t, spec=spec.to_dict()) for t, spec in problem.excluded(known)]
    constraints = [str(limit) for limit in problem.limits.limits]
    content = dict(plan=problem.plan.to_dict(), constraints=constraints, excluded=excluded)
    content['spaces'] = {task: space.to_config() for task, space in problem.spaces.items()}
    write_json(folder / 'search.json', content)
    if problem.ledger.scores:
        with written_whole(folder / 'scores.npz') as temporary, open(temporary, 'wb') as file:
            arrays: dict[str, Any] = dict(problem.ledger.scores)
            np.savez(file, **arrays)


def write_results(
    folder: Path,
    problem: SearchProblem,
    chosen: ScoredJoint,
    front: Sequence[ScoredJoint],
    log: list[dict],
    more: Mapping[str, Any],
) -> None:
    """Writes ``joint_spec.json``, ``front.json`` and ``report.json``.

    Args:
        folder: where to write.
        problem: what the search was about.
        chosen: its result.
        front: the best of every budget.
        log: of the generations.
        more: what else the report shall have; see ``visualization.search_report``.
    """
    plan = problem.plan
    points = [dict(total=p.total, s_score=p.score, scores=p.scores) for p in front]
    specs = [dict(point, joint_spec=p.joint.to_dict()) for point, p in zip(points, front)]
    choice = dict(
        total=chosen.total,
        s_score=chosen.score,
        scores=chosen.scores,
        joint_spec=chosen.joint.to_dict(),
    )
    write_json(folder / 'front.json', specs)
    dimensions = problem.ledger.layout.space.dimensions
    report = dict(
        tasks=list(plan.metrics),
        metrics=plan.metrics,
        weights=plan.weights,
        shown=plan.shown,
        budget=plan.budget,
        with_heads=plan.with_heads,
        pass_groups=plan.pass_groups,
        chosen=choice,
        generations=log,
        front=points,
        labels=dimensions.labels,
        ratios=[dimension.name for dimension in dimensions.all if dimension.is_ratio],
        **layer_counts(problem.ledger, chosen.joint),
    )
    report.update(more)
    if plan.cost is not None:
        report['unit'] = problem.cost.unit
    write_json(folder / 'report.json', report)
    # Last: where it is, the search is complete.
    write_json(folder / 'joint_spec.json', dict(budget=plan.budget, **choice, generations=log))


def choose_again(history: str | Path, budget: int | float | str, folder: str | Path) -> ScoredJoint:
    """The best joint spec of another budget, out of what a search has scored.

    Writes what a search writes into ``folder``. Nothing is evaluated.

    Args:
        history: the ``history.jsonl`` of a search, with what lies beside it.
        budget: as ``search_cfg.budget`` says it.
        folder: where to write.

    Raises:
        FileNotFoundError: there is no such search.
        ValueError: nothing that was scored fits, the search chose by other scores than those of
            the history, a file is damaged, or another search is writing into ``folder``.
    """
    found, beside = History.read(history), Path(history).parent
    problem, constraints, excluded = _read_problem(beside, found.fingerprint)
    plan, cost, selection = problem.plan, problem.cost, problem.selection
    _check_score(plan, history)
    budget = parse_budget(budget, plan.cost)
    scored: dict[str, dict[SubnetSpec, float]] = {task: {} for task in plan.metrics}
    for (task, spec), outcome in found.evaluations.items():
        if outcome.score is not None and (task, spec) not in excluded:
            scored[task][spec] = outcome.score
    candidates = scored_joints(_front_of(beside, problem.spaces), scored, cost, plan.weights)
    front = selection.front(scored, candidates)
    chosen = selection.best(scored, candidates, budget)
    if chosen is None:
        least = f'; the smallest has {front[0].total:,}' if front else ''
        raise ValueError(
            f'search: no joint spec of what was scored has at most {budget:,} {cost.unit}{least}'
        )
    more: dict[str, Any] = dict(
        constraints=constraints,
        random=None,
        evaluations=len(found),
        saved_by_cache=0,
        failed=failures(found),
        seconds=None,
    )
    log, earlier = [], beside / 'report.json'
    if earlier.is_file():
        before = read_json(earlier, str(earlier), MAX_BYTES)
        missing = {'generations', *more} - set(before)
        if missing:
            raise ValueError(f'{earlier}: damaged ({min(missing)!r} is missing)')
        log = before['generations']
        more.update({key: before[key] for key in more})
        # Of the search; the chosen architectures, their operations and answers are others.
        more.update({key: before[key] for key in ('run', 'others') if key in before})
    problem = replace(problem, plan=replace(plan, budget=budget))
    with alone_in(folder):
        write_results(Path(folder), problem, chosen, front, log, more)
    return chosen


def _check_score(plan: SearchPlan, history: str | Path) -> None:
    """Raises ValueError where a search chose by its score, not by evaluations of finalists."""
    name = (plan.score or {}).get('type')
    kind = registered_here(name, SEARCH_SCORES)
    if kind is not None and getattr(kind, 'finalists', None) == 0:
        raise ValueError(
            f'history {history}: the search chose by {name}, and what is scored in it are the '
            "tasks' metrics; run the search in the same folder with another --budget, which "
            'evaluates nothing anew that is known'
        )


def learn_from_history(
    history: str | Path,
    seed: int = 0,
    on_task: Callable[[str, Mapping[str, float | None]], None] | None = None,
) -> Predictor:
    """A predictor of the scores of a search, of each task that has any; see ``Predictor.fit``.

    Raises:
        FileNotFoundError: there is no such search.
        ValueError: a file is damaged, or a task has too few scores.
    """
    found = History.read(history)
    supernet, _ = _supernet(found.fingerprint, Path(history).parent)
    parts = part_spaces(dict(tasks=from_json(found.fingerprint['models'])))
    scored: dict[str, dict[SubnetSpec, float]] = {}
    for (task, spec), outcome in found.evaluations.items():
        if outcome.score is not None:
            scored.setdefault(task, {})[spec] = outcome.score
    if not scored:
        raise ValueError(f'history {history}: it has no score to learn from')
    spaces = {task: supernet.backbone.space.with_parts(parts[task]) for task in scored}
    return Predictor.fit(scored, spaces, seed, on_task)


def _read_problem(
    folder: Path, header: Mapping[str, Any]
) -> tuple[SearchProblem, list[str], set[Pair]]:
    """What a search was about, from what it wrote; its constraints, and what it may not choose."""
    path = folder / 'search.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path}, written with the history, is not there')
    supernet, ledger = _supernet(header, folder)
    backbone = supernet.backbone
    try:
        content = read_json(path, str(path))
        plan = SearchPlan.from_dict(content['plan'])
        found = part_spaces(dict(tasks=from_json(header['models'])))
        spaces = {task: backbone.space.with_parts(found[task]) for task in plan.metrics}
        for task, config in content.get('spaces', {}).items():
            root = SearchSpace.from_config(config, backbone.space.dimensions)
            spaces[task] = root.with_parts(found[task])
        read = supernet.layout.space.dimensions.read
        excluded = {(e['task'], read(e['spec'])) for e in content['excluded']}
        constraints = content['constraints']
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: damaged ({error!r})') from None
    make = cache(partial(_models, header, str(folder / 'history.jsonl')))
    parts = (PartFlops(make), PartTimes(make))
    cost = make_cost(plan, backbone, *parts, ledger, spaces, from_json(header['data']))
    selection = make_selection(plan, cost)
    problem = SearchProblem(plan, spaces, ledger, cost, selection, Constraints())
    return problem, constraints, excluded


def _front_of(folder: Path, spaces: Mapping[str, SearchSpace]) -> list[JointSpec]:
    """The joint specs of a search's front; none where it has not ended."""
    path = folder / 'front.json'
    if not path.is_file():
        return []
    try:
        front = read_json(path, str(path), MAX_BYTES)
        specs = (point['joint_spec'].items() for point in front)
        return [JointSpec({t: spaces[t].dimensions.read(s) for t, s in joint}) for joint in specs]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: damaged ({error!r})') from None


def failures(history: History) -> list[dict]:
    """The evaluations that failed, for the report."""
    return [
        dict(task=task, spec=spec.to_dict(), reason=reason)
        for task, spec, reason in history.failed()
    ]


def _models(header: Mapping[str, Any], where: str) -> MultiTaskModel:
    """The tasks' models without weights, of classes that a file of somebody else may name."""
    tasks = from_json(header['models'])
    for task, info in tasks.items():
        # Elastic parts are made of it anyway.
        kinds = [kind for kind in map(part_class, info['model'].values()) if kind is not None]
        trust = [f'{kind.__module__}.{kind.__qualname__}' for kind in kinds]
        check_config(info['scope'], info['model'], f'{where}: task {task!r}, model', trust)
    config = dict(type='MultiTaskModel', backbone=from_json(header['backbone']), tasks=tasks)
    return weightless(ConfigDict(config))


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    """The scores of masks that a search has written, no more than the file has bytes for."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_records(archive, path.stat().st_size)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (zipfile.BadZipFile, ValueError, OSError, MemoryError) as error:
        raise ValueError(f'{path}: damaged ({error!r})') from None


def _supernet(header: Mapping[str, Any], folder: Path) -> tuple[Supernet, Ledger]:
    """What a search was in, without its weights, and the ledger, from what its history says."""
    config = from_json(header['backbone'])
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        backbone = made_backbone(config, f'{folder / "history.jsonl"}: backbone')
    path = folder / 'scores.npz'
    scores = _read_scores(path) if path.is_file() else {}
    supernet = Supernet(backbone, members_of(from_json(header['models'])))
    return supernet, supernet.ledger(header['heads'], scores)
