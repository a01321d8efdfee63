"""A whole search: from a joint config and a supernet's checkpoint to a joint spec on disk."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.assignment import assign_scoring
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.engine.groups import TaskGroups, new_group
from mdl_nas_mm.engine.launch import backend_of, check_same_config, start_processes
from mdl_nas_mm.engine.settings import check_score
from mdl_nas_mm.spec import JointSpec, Ledger, Owners
from mdl_nas_mm.tasks import (
    MultiTaskModel,
    ResolvedConfig,
    Scoring,
    Task,
    sampled_spaces,
)
from mdl_nas_mm.tasks.part_flops import PartFlops, weightless
from mdl_nas_mm.tasks.timed_layers import PartTimes
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.jsonable import to_json

from .constraints import Constraints
from .evaluations import Evaluations, open_history, open_parts
from .evaluator import SupernetEvaluator
from .evolution import SearchFailed, SearchResult, leaders
from .facts import draw_answers, image_sizes, others, run_facts
from .plan import SearchPlan
from .predictor_score import EstimatedScore
from .problem import SearchProblem, read_start
from .progress import SearchProgress
from .registered import build
from .results import alone_in, failures, save_problem, write_results
from .scored import Score, scored_joints

_TIMEOUT = timedelta(minutes=10)


def run_search(
    cfg: ResolvedConfig, checkpoint: str | Path, work_dir: str | Path, launcher: str = 'none'
) -> SearchResult | None:
    """Searches as the config's ``search_cfg`` says; goes on where an earlier run stopped.

    Writes ``history.jsonl`` (every evaluation) as it goes, and when complete ``joint_spec.json``
    (the result), ``front.json`` (the best of every budget) and ``report.json``. In several
    processes, each of which has to call this, every task is scored by its own ranks; where these
    are fewer than the tasks, by all.

    Args:
        cfg: a resolved joint config with ``search_cfg``; see ``SearchPlan``.
        checkpoint: the trained supernet.
        work_dir: folder of the history and the results.
        launcher: what has started the processes: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        What was found; None on other ranks than the first.

    Raises:
        ValueError: the budget or another limit cannot be met, a setting is not valid, the
            checkpoint does not fit the config, or another process is searching in the folder.
    """
    # What is wrong with it is said before processes are started and weights are read.
    SearchPlan.from_config(cfg)
    if launcher != 'none':
        start_processes(launcher, _TIMEOUT, backend_of(cfg))
        check_same_config(cfg)
    given = (cfg.get('groups'), get_world_size(), cfg.image_groups)
    assignment = assign_scoring(tuple(cfg.tasks), *given)
    ranks = TaskGroups.make(assignment, _TIMEOUT)
    model = load_supernet(cfg, checkpoint, ranks)
    return search_supernet(model, ranks, cfg, checkpoint, work_dir)


def search_supernet(
    model: MultiTaskModel,
    ranks: TaskGroups,
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    work_dir: str | Path,
) -> SearchResult | None:
    """As ``run_search``, with a supernet that is there: each rank's tasks of it.

    Args:
        model: this rank's tasks of the supernet.
        ranks: which ranks have which tasks.
        cfg: the resolved joint config, with ``search_cfg``.
        checkpoint: the file with the supernet's weights, by which its history knows it.
        work_dir: folder of the history and the results.
    """
    with nullcontext() if ranks.rank else alone_in(work_dir):
        return SearchRun(model, ranks, cfg, checkpoint, Path(work_dir)).run()


class SearchRun:
    """One search in a supernet: what it is about, its evaluations, how far it is.

    Args:
        model: each rank's tasks of the supernet.
        ranks: which ranks have which tasks.
        cfg: the resolved joint config, with ``search_cfg``.
        checkpoint: the file with the supernet's weights.
        folder: of the history and the results.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        ranks: TaskGroups,
        cfg: ResolvedConfig,
        checkpoint: str | Path,
        folder: Path,
    ) -> None:
        self.started, self.cfg, self.folder = time.monotonic(), cfg, folder
        self.model, self.ranks, self.checkpoint = model, ranks, checkpoint
        self.problem = SearchProblem.from_config(cfg, model.supernet, _head_sizes(model, ranks))
        self.problem.check()
        self.plan = self.problem.plan
        header = _fingerprint(cfg, model, self.problem.ledger, checkpoint)
        history = open_history(folder, header, ranks)
        processes = 1 if ranks.alone else dist.get_world_size()
        generations, unit = self.plan.evolution.generations, self.problem.cost.unit
        self._progress = None if ranks.rank else SearchProgress(generations, processes, unit)
        solo = None
        if not ranks.alone:
            solo = new_group([ranks.rank], _TIMEOUT, use_local_synchronization=True)
        self.evaluator = SupernetEvaluator(model, cfg, solo)
        parts = open_parts(folder, header, ranks)
        given = (parts, ranks, self._progress, self.plan.pass_groups)
        self.evaluations = Evaluations(self.evaluator, history, *given)

    @property
    def progress(self) -> SearchProgress:
        """How far the search is, which the first rank shows."""
        assert self._progress is not None
        return self._progress

    def run(self) -> SearchResult | None:
        """What was found; None on other ranks than the first, which evaluate for it."""
        if self.ranks.rank:
            self.evaluations.serve()
            self._of_best(None)
            return None
        _warn_of_validation(self.cfg)
        self.problem.warn_of_start()
        for task in self.cfg.tasks.values():
            _scoring(task).say_note()
        history = self.evaluations.history
        save_problem(self.folder, self.problem, history.evaluations)
        try:
            result, estimated, final = self._search()
            evaluations = len(self.evaluations.used)
            baseline = self._random_baseline(result, evaluations, final)
        except SearchFailed as error:
            if not history.failed():
                raise
            task, _, reason = history.failed()[0]
            raise ValueError(f'{error}; the first one, of task {task!r}: {reason}') from None
        self.evaluations.finish()
        more = dict(
            constraints=[str(limit) for limit in self.problem.limits.limits],
            random=baseline,
            evaluations=evaluations,
            saved_by_cache=result.log[-1]['spared'],
            failed=failures(history),
            seconds=round(time.monotonic() - self.started, 1),
            run=run_facts(self.cfg, self.checkpoint, self.plan.seed),
            others=others(result.candidates),
            **self._of_best(result.best),
            **estimated,
        )
        front = self.problem.selection.front(result.scored, result.candidates)
        write_results(self.folder, self.problem, result.chosen, front, result.log, more)
        return result

    def _search(self) -> tuple[SearchResult, dict, Score]:
        """What the search finds, what a report says of scores that are no evaluations, and the
        score that the result has."""
        settings, seed, report = self.plan.evolution, self.plan.seed, self.progress.generation
        if self.plan.score is None:
            result = self.problem.search(self.evaluations, settings, seed, report)
            return result, {}, self.evaluations
        self.progress.begin('Samples', 1)
        score: EstimatedScore = build(
            'score',
            self.plan.score,
            evaluate=self.evaluations,
            sample=self.problem.sample,
            spaces=self.problem.spaces,
            model=self.model,
            cfg=self.cfg,
            folder=self.folder,
        )
        self.progress.begin('Search', settings.generations)
        result = self.problem.search(score, settings, seed, report)
        final: Score = score
        about: dict[str, Any] = dict(score=score.describe())
        if score.finalists:
            self.progress.begin('Finalists', 1)
            result, final = self._evaluated(result, score.finalists), self.evaluations
        else:
            # Its scores may be in whatever unit.
            about['shown'] = {}
        return result, about, final

    def _of_best(self, best: JointSpec | None) -> dict[str, dict[str, Any]]:
        """Answers, sizes of images and multiply-adds of each task, by one of its ranks.

        The first rank says the architectures.
        """
        joint, leads = self.ranks.all_gather(best)[0], self.ranks.leads
        own = self.evaluator.evaluations.items()
        own = {task: each for task, each in own if leads(Owners.of(task))}
        sizes, flops = image_sizes(own, self.cfg), self.model.backbone.flops
        found = dict(
            answers=draw_answers(self.evaluator, own, self.cfg, joint, self.folder),
            input_sizes=sizes,
            flops={task: flops(task, joint[task], size) for task, size in sizes.items()},
        )
        gathered = self.ranks.all_gather(found)
        return {key: {t: v for each in gathered for t, v in each[key].items()} for key in found}

    def _evaluated(self, result: SearchResult, finalists: int) -> SearchResult:
        """The best of what was evaluated, after the best of a search by estimates were."""
        problem, joints = self.problem, leaders(result.candidates, result.chosen)[:finalists]
        self.evaluations(list(dict.fromkeys((t, j[t]) for t in problem.spaces for j in joints)))
        scored = self.evaluations.scored(tuple(problem.spaces))
        candidates = scored_joints(joints, scored, problem.cost, self.plan.weights)
        chosen = problem.selection.best(scored, candidates, self.plan.budget)
        if chosen is None:
            raise SearchFailed('search: every finalist has failed')
        return replace(result, chosen=chosen, scored=scored, candidates=candidates)

    def _random_baseline(
        self, result: SearchResult, evaluations: int, score: Score
    ) -> list[dict] | None:
        """The log of a random search with as many evaluations, if there is to be one.

        One that fails is said: run again, its candidates would be the same.
        """
        if not self.plan.random_baseline:
            return None
        self.progress.begin('Random search', len(result.log))
        at_random, seed = self.plan.evolution.at_random(evaluations), self.plan.seed + 1
        try:
            return self.problem.search(score, at_random, seed, self.progress.generation).log
        except SearchFailed as error:
            MMLogger.get_current_instance().warning(f'random search: there is none, {error}')
            return None


def check_search(cfg: ResolvedConfig) -> None:
    """Finds what is wrong with a config's search before its supernet is trained.

    Raises:
        ValueError: a setting is not valid, or the budget or another limit cannot be met. Under the
            mask policy the smallest total depends on learned scores, so that the budget is checked
            later.
    """
    plan, model = SearchPlan.from_config(cfg), weightless(cfg.model)
    check_score(cfg)
    spaces = sampled_spaces(cfg, model.backbone.space)
    plan.ties.check(spaces)
    read_start(cfg, spaces)
    parts = (PartFlops(lambda: model), PartTimes(lambda: model))
    Constraints.from_config(cfg, model.backbone, *parts, spaces)
    if not model.has_scores:
        SearchProblem.from_config(cfg, model.supernet, model.head_sizes()).check()


def _warn_of_validation(cfg: ResolvedConfig) -> None:
    """Says which tasks choose their architecture on the images that results are reported on."""
    same = [
        name
        for name, task in cfg.tasks.items()
        if task.val and task.search and task.val.dataloader == task.search.dataloader
    ]
    if same:
        MMLogger.get_current_instance().warning(
            f'search: {", ".join(same)} scored on the validation split; a search_dataloader with '
            'images set aside from training keeps its scores honest'
        )


def _scoring(task: Task) -> Scoring:
    assert task.search is not None
    return task.scoring(task.search)


def _gain_of_one(task: Task) -> float:
    """What the number 1 of a task's metric adds to the S-Score, before its weight."""
    scoring = _scoring(task)
    return scoring.gain(scoring.factor)


def _head_sizes(model: MultiTaskModel, ranks: TaskGroups) -> dict[str, int]:
    """Owners -> elements outside the backbone, of the tasks of all ranks."""
    sizes = {}
    for own in ranks.all_gather(model.head_sizes()):
        sizes.update(own)
    return {label: sizes.pop(label) for label in ranks.assignment.tasks} | sizes


def _fingerprint(
    cfg: ResolvedConfig, model: MultiTaskModel, ledger: Ledger, checkpoint: str | Path
) -> dict[str, Any]:
    """All that a score depends on, and what a ledger is built from."""
    images = cfg.get('recalibrate_images', 0)
    return dict(
        space=model.backbone.space.to_config(),
        sharing=model.backbone.sharing.to_config(),
        checkpoint=sha256_of(local_file(checkpoint)),
        scores={name: task.score.metric for name, task in cfg.tasks.items()},
        percent={name: _gain_of_one(task) for name, task in cfg.tasks.items()},
        data=to_json(cfg.search_dataloader),
        evaluators=to_json(cfg.search_evaluator),
        recalibrate_images=images,
        training_data=to_json(cfg.train_dataloader) if images else None,
        backbone=to_json(cfg.model.backbone),
        models=to_json(cfg.model.tasks),
        heads=ledger.heads,
    )
