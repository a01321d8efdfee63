"""A whole search: from a joint config and a supernet's checkpoint to a joint spec on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.engine.launch import check_same_config, start_processes
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import Ledger, SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel, Scoring, drawn_spaces, task_scope
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.jsonable import to_json

from .budget import check_budget, smallest_total
from .constraints import Constraints
from .evaluator import SplitEvaluator, SupernetEvaluator
from .evolution import SearchFailed, SearchResult, search
from .exact import Selection
from .history import History, Outcome, Pair
from .plan import SearchPlan
from .progress import Progress
from .results import alone_in, failures, save_plan, write_results

_TIMEOUT = timedelta(minutes=10)


def run_search(
    cfg: Config, checkpoint: str | Path, work_dir: str | Path, launcher: str = 'none'
) -> SearchResult | None:
    """Searches as the config's ``search_cfg`` says; goes on where an earlier run stopped.

    Writes ``history.jsonl`` (every evaluation) as it goes, and when complete ``joint_spec.json``
    (the result), ``front.json`` (the best of every budget) and ``report.json``. In several
    processes, each of which has to call this, every task is scored by its own ranks.

    Args:
        cfg: a resolved joint config with ``search_cfg``; see ``SearchPlan``.
        checkpoint: the trained supernet.
        launcher: what has started the processes: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        What was found; None on other ranks than the first.

    Raises:
        ValueError: the budget or another limit cannot be met, a setting is not valid, the
            checkpoint does not fit the config, or another process is searching in the folder.
    """
    SearchPlan.from_config(cfg)
    if launcher != 'none':
        start_processes(launcher, _TIMEOUT)
        check_same_config(cfg)
    assignment = assign_ranks(tuple(cfg.tasks), cfg.get('groups'), get_world_size())
    ranks = TaskGroups.make(assignment, _TIMEOUT)
    model = load_supernet(cfg, checkpoint, ranks)
    return search_supernet(model, ranks, cfg, checkpoint, work_dir)


def search_supernet(
    model: MultiTaskModel,
    ranks: TaskGroups,
    cfg: Config,
    checkpoint: str | Path,
    work_dir: str | Path,
) -> SearchResult | None:
    """As ``run_search``, with a supernet that is there: each rank's tasks of it.

    Args:
        checkpoint: the file with the supernet's weights, by which its history knows it.
    """
    with nullcontext() if ranks.rank else alone_in(work_dir):
        return _search_alone(model, ranks, cfg, checkpoint, Path(work_dir))


def _search_alone(
    model: MultiTaskModel, ranks: TaskGroups, cfg: Config, checkpoint: str | Path, folder: Path
) -> SearchResult | None:
    started, plan = time.monotonic(), SearchPlan.from_config(cfg)
    ledger = model.backbone.ledger(_head_sizes(model, ranks))
    space = _space(cfg, model)
    constraints = Constraints.from_config(cfg, model.backbone)
    _check_reachable(plan, space, ledger, constraints)
    header = _fingerprint(cfg, model, ledger, checkpoint)
    history = None if ranks.rank else History(folder / 'history.jsonl', header)
    # Where the first rank refuses the history, no other one leaves a file behind.
    ranks.all_gather(None)
    progress = Progress(plan.evolution.generations, 1 if ranks.alone else dist.get_world_size())
    single = _single_evaluator(model, cfg, ranks, progress)
    left, earlier = _left_behind(folder, header, ranks), {}
    for file in left:
        earlier.update(file.evaluations)
    evaluate = _in_order(single, earlier)
    if not ranks.alone:
        left.append(History(folder / f'history.rank{ranks.rank}.jsonl', header))
        evaluate = SplitEvaluator(single, ranks, left[-1], earlier)
        if ranks.rank:
            evaluate.serve()
            left[-1].path.unlink()
            return None
    _warn_of_validation(cfg)
    _warn_of_unknown_metrics(cfg)
    limits = [str(limit) for limit in constraints.limits]
    save_plan(folder, plan, ledger, limits, _excluded(history, space, constraints))
    searching = partial(
        search,
        space,
        tuple(cfg.tasks),
        ledger,
        progress.counting(history.cached(evaluate)),
        plan.budget,
        weights=plan.weights,
        with_heads=plan.with_heads,
        allow=constraints.allow,
        on_generation=progress.generation,
    )
    result, baseline = _searched(searching, plan, history, progress)
    if not ranks.alone:
        evaluate.finish()
    for file in left:
        file.path.unlink()
    more = dict(
        constraints=limits,
        random=baseline,
        evaluations=result.log[-1]['evaluations'],
        saved_by_cache=result.log[-1]['spared'],
        failed=failures(history),
        seconds=round(time.monotonic() - started, 1),
    )
    chosen = Selection(result.best, result.score, result.total, result.scores)
    write_results(folder, plan, ledger, result.scored, chosen, result.log, more)
    return result


def _searched(
    searching: Callable[..., SearchResult], plan: SearchPlan, history: History, progress: Progress
) -> tuple[SearchResult, list[dict] | None]:
    """What the search found, and the log of the random one, if there is to be one."""
    try:
        result = searching(plan.evolution, random.Random(plan.seed))
    except SearchFailed as error:
        task, _, reason = history.failed()[0]
        raise ValueError(f'{error}; the first one, of task {task!r}: {reason}') from None
    if not plan.random_baseline:
        return result, None
    progress.begin('Random search', len(result.log))
    at_random = plan.evolution.at_random(result.log[-1]['evaluations'])
    return result, searching(at_random, random.Random(plan.seed + 1)).log


def check_search(cfg: Config) -> None:
    """Finds what is wrong with a config's search before its supernet is trained.

    Raises:
        ValueError: a setting is not valid, a task's metric is none that a score can be, or the
            budget or another limit cannot be met. Under the mask policy the smallest total
            depends on learned scores, so that the budget is checked later.
    """
    plan = SearchPlan.from_config(cfg)
    for task in cfg.tasks:
        _scoring(cfg, task)
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    constraints = Constraints.from_config(cfg, model.backbone)
    if not model.backbone.sharing.has_scores:
        ledger = model.backbone.ledger(model.head_sizes())
        _check_reachable(plan, _space(cfg, model), ledger, constraints)


def _space(cfg: Config, model: MultiTaskModel) -> SearchSpace:
    """What is searched in, today alike for all tasks."""
    return next(iter(drawn_spaces(cfg, model.backbone.space).values()))


def _check_reachable(
    plan: SearchPlan, space: SearchSpace, ledger: Ledger, constraints: Constraints
) -> None:
    tasks = tuple(plan.metrics)
    check_budget(plan.budget, space, ledger, tasks, plan.with_heads)
    constraints.check(smallest_total(space, ledger, tasks, plan.with_heads)[0])


def _warn_of_validation(cfg: Config) -> None:
    """Says which tasks choose their architecture on the images that results are reported on."""
    reported = cfg.get('val_dataloader') or {}
    same = [task for task in cfg.tasks if reported.get(task) == cfg.search_dataloader[task]]
    if same:
        MMLogger.get_current_instance().warning(
            f'search: {", ".join(same)} scored on the validation split; a search_dataloader with '
            'images set aside from training keeps its scores honest'
        )


def _warn_of_unknown_metrics(cfg: Config) -> None:
    """Says how metrics count that are none of upstream's."""
    for task in cfg.tasks:
        note = _scoring(cfg, task).note
        if note is not None:
            MMLogger.get_current_instance().warning(f'search: {note}')


def _scoring(cfg: Config, task: str) -> Scoring:
    info = cfg.tasks[task]
    return Scoring.from_config(task, info.scope, info.score, cfg.search_evaluator[task])


def _head_sizes(model: MultiTaskModel, ranks: TaskGroups) -> dict[str, int]:
    """Task -> elements outside the backbone, of the tasks of all ranks."""
    sizes = {}
    for own in ranks.all_gather(model.head_sizes()):
        sizes.update(own)
    return {task: sizes[task] for task in ranks.assignment.tasks}


def _fingerprint(
    cfg: Config, model: MultiTaskModel, ledger: Ledger, checkpoint: str | Path
) -> dict[str, Mapping]:
    """All that a score depends on, and what a ledger is built from."""
    images = cfg.get('recalibrate_images', 0)
    return dict(
        space=model.backbone.space.to_config(),
        sharing=model.backbone.sharing.to_config(),
        checkpoint=sha256_of(local_file(checkpoint)),
        scores={task: info.score for task, info in cfg.tasks.items()},
        percent={task: _scoring(cfg, task).metric.kind.factor for task in cfg.tasks},
        data=to_json(cfg.search_dataloader),
        evaluators=to_json(cfg.search_evaluator),
        recalibrate_images=images,
        training_data=to_json(cfg.train_dataloader) if images else None,
        backbone=to_json(cfg.model.backbone),
        models=to_json(cfg.model.tasks),
        heads=ledger.heads,
    )


def _single_evaluator(
    model: MultiTaskModel, cfg: Config, ranks: TaskGroups, progress: Progress
) -> Callable[[str, SubnetSpec], Outcome]:
    """The evaluator of this process; that of the first one shows how far all are."""
    solo = None
    if not ranks.alone:
        solo = dist.new_group([ranks.rank], _TIMEOUT, use_local_synchronization=True)
    evaluate = SupernetEvaluator(model, cfg, solo)
    return evaluate if ranks.rank else progress.timing(evaluate)


def _left_behind(folder: Path, header: Mapping, ranks: TaskGroups) -> list[History]:
    """On the first rank, the files of ranks that only an earlier, interrupted run had."""
    first = 0 if ranks.alone else dist.get_world_size()
    numbers = [path.stem.removeprefix('history.rank') for path in folder.glob('history.rank*')]
    gone = sorted(int(n) for n in numbers if n.isdigit() and int(n) >= first)
    return [History(folder / f'history.rank{n}.jsonl', header) for n in gone if not ranks.rank]


def _excluded(history: History, space: SearchSpace, constraints: Constraints) -> list[Pair]:
    """What an earlier search with other limits, or in more of the space, has left there."""
    return [pair for pair in history.evaluations if not _may_choose(*pair, space, constraints)]


def _may_choose(task: str, spec: SubnetSpec, space: SearchSpace, constraints: Constraints) -> bool:
    try:
        space.check(spec)
    except ValueError:
        return False
    return constraints.allow(task, spec)


def _in_order(
    evaluate: Callable[[str, SubnetSpec], Outcome], earlier: Mapping[Pair, Outcome]
) -> Callable[[Sequence[Pair]], Iterator[Outcome]]:
    """Evaluates one pair after the other, each as soon as it is asked for."""

    def outcomes(pairs: Sequence[Pair]) -> Iterator[Outcome]:
        for pair in pairs:
            yield earlier[pair] if pair in earlier else evaluate(*pair)

    return outcomes
