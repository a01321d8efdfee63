"""Evolution against random search with as many evaluations, on the demo's trained supernet.

    python benchmarks/search.py [--checkpoint work_dirs/demo/joint/iter_800.pth] [--seeds 3]

``make demo`` trains the supernet. Every (task, architecture) is scored once, whichever search and
seed asks for it first, and kept in ``work_dirs/benchmark_search``. Reports the S-Score of the best
joint spec that each search found under the demo's budget, and the share of the time that is not
evaluation.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from measuring import parser, report
from mmengine.config import Config
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import Evaluations, History, SearchProblem, SupernetEvaluator
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.jsonable import to_json

ROOT = Path(__file__).parents[1]


def run(args: argparse.Namespace) -> list[dict]:
    """What both searches found, for each seed."""
    cfg = resolve_joint_config(Config.fromfile(ROOT / 'configs/demo/demo_joint.py'))
    model = load_supernet(cfg, args.checkpoint)
    problem = SearchProblem.from_config(cfg, model.supernet, model.head_sizes())
    evaluator = SupernetEvaluator(model, cfg)
    backbone = to_json(cfg.model.backbone)
    header = dict(checkpoint=sha256_of(args.checkpoint), backbone=backbone)
    history = History(Path(args.work_dir) / 'history.jsonl', header)
    spent, logger = [0.0], MMLogger.get_current_instance()

    def evaluate(specs):
        start = time.perf_counter()
        outcomes = evaluator(specs)
        spent[0] += time.perf_counter() - start
        return outcomes

    results = []
    for seed in range(args.seeds):
        found, evaluations = {}, None
        for name in ('evolution', 'random'):
            settings = problem.plan.evolution
            settings = settings if evaluations is None else settings.at_random(evaluations)
            start, before, fresh = time.perf_counter(), spent[0], len(history)
            result = problem.search(Evaluations(evaluate, history), settings, seed)
            evaluations = evaluations or result.log[-1]['evaluations']
            seconds, evaluating = time.perf_counter() - start, spent[0] - before
            found[name] = dict(
                s_score=round(result.score, 3),
                scores={task: round(score, 2) for task, score in result.scores.items()},
                total=result.total,
                evaluations=result.log[-1]['evaluations'],
                best_by_generation=[round(entry['best'], 3) for entry in result.log],
            )
            if len(history) - fresh == result.log[-1]['evaluations']:
                found[name]['not_evaluation_percent'] = round(100 * (1 - evaluating / seconds), 3)
            logger.info(f'seed {seed}, {name}: {found[name]}')
        results.append(dict(seed=seed, **found))
    return results


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--checkpoint', default='work_dirs/demo/joint/iter_800.pth')
    options.add_argument('--work-dir', default='work_dirs/benchmark_search')
    options.add_argument('--seeds', type=int, default=3)
    args = options.parse_args()
    result = dict(
        runs=run(args),
    )
    wins = [run['evolution']['s_score'] - run['random']['s_score'] for run in result['runs']]
    result['evolution_minus_random'] = [round(difference, 3) for difference in wins]
    report(args, result)


if __name__ == '__main__':
    main()
