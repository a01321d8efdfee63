"""Seconds that the exact selection and the exact front take, on one core.

    OMP_NUM_THREADS=1 python benchmarks/selection.py [--write benchmarks/results/NAME.json]

For every policy and number of tasks: architectures of the paper's ViT space, a quarter sampled at
random and the others crossed and mutated from earlier ones, as a search leaves them. A score is a
saturating function of the size, falls with the share ratio, and has noise. Budgets lie between the
smallest total and that of the highest score, 0 and 1. Times are the processor's, from scored
architectures to the selection, so that other work on the machine counts little.
"""

from __future__ import annotations

import json
import math
import random
import time

import numpy as np
from measuring import parser, report

from mdl_nas_mm.families.vit import VIT, ViTLayout, ViTShape
from mdl_nas_mm.search import ParameterCost
from mdl_nas_mm.search.exact import pareto_front, select
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import Ledger, SubnetSpec

ROLES = VIT.dimensions.roles
POLICIES = {
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask, ratio': dict(type='Mask', threshold='ratio'),
    'AllSpecific': 'AllSpecific',
    'AllShared': 'AllShared',
}
BUDGETS = (0, 0.1, 0.3, 0.6, 0.9)


def build(sharing, seed: int = 0) -> ParameterCost:
    """The ledger of the paper's ViT space with random scores."""
    layout = ViTLayout(VIT.space('mdl-nas-b'), ViTShape())
    sharing, generator = Sharing.from_config(sharing, ROLES), np.random.default_rng(seed)
    scores = {
        use.layer: generator.random(use.groups * use.max_channels, np.float32)
        for use in layout.uses(layout.space.largest())
        if sharing[use.role].has_scores
    }
    return ParameterCost(Ledger(layout, sharing, scores))


def sample_scored(ledger: Ledger, tasks: int, count: int, seed: int = 0) -> dict:
    """Scored architectures of each task."""
    rng, space = random.Random(seed), ledger.layout.space
    low, high = ledger.params(space.smallest()), ledger.params(space.largest())

    def new(specs: list[SubnetSpec]) -> SubnetSpec:
        if len(specs) < count / 4:
            return space.sample(rng)
        if rng.random() < 0.5:
            return space.mutate(rng.choice(specs), rng)
        return space.crossover(rng.choice(specs), rng.choice(specs), rng)

    def score(spec: SubnetSpec) -> float:
        size = (ledger.params(spec) - low) / (high - low)
        blocks = spec.stages[0].blocks
        shared = sum(block.attn_share_ratio for block in blocks) / len(blocks)
        return 75 - 5 * math.exp(-2 * size) - 3 * shared + rng.gauss(0, 0.3)

    scored = {}
    for task in range(tasks):
        specs: dict[SubnetSpec, None] = {}
        while len(specs) < count:
            specs[new(list(specs))] = None
        scored[f'task{task}'] = {spec: score(spec) for spec in specs}
    return scored


def timed(function, *args, **kwargs) -> tuple:
    """What a call returns, and its seconds."""
    start = time.process_time()
    value = function(*args, **kwargs)
    return value, round(time.process_time() - start, 2)


def measure(cost: ParameterCost, scored: dict, with_front: bool) -> dict:
    """Seconds of selections at the budgets, and of the whole front."""
    weights = dict.fromkeys(scored, 1.0)
    low, high = pareto_front(scored, cost, weights, max_points=2)
    result = dict(smallest=low.total, largest=high.total, seconds={}, s_scores={})
    for part in BUDGETS:
        budget = low.total + int(part * (high.total - low.total))
        best, seconds = timed(select, scored, cost, budget, weights)
        result['seconds'][str(part)] = seconds
        result['s_scores'][str(part)] = round(float(best.score), 3)
    if with_front:
        front, seconds = timed(pareto_front, scored, cost, weights)
        result['front'] = dict(points=len(front), seconds=seconds)
    return result


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--count', type=int, default=500, help='scored architectures a task')
    options.add_argument('--tasks', type=int, nargs='+', default=[3, 5])
    options.add_argument('--policies', nargs='+', default=list(POLICIES), choices=POLICIES)
    options.add_argument(
        '--fronts', nargs='*', default=['Sequential', 'Mask'], help='policies for whole fronts'
    )
    args = options.parse_args()
    result = dict(
        note='processor time of one core',
        count=args.count,
        results={},
    )
    for name in args.policies:
        cost = build(POLICIES[name])
        for tasks in args.tasks:
            scored = sample_scored(cost.ledger, tasks, args.count)
            measured = measure(cost, scored, name in args.fronts)
            result['results'][f'{name}, {tasks} tasks'] = measured
            print(name, tasks, 'tasks:', json.dumps(measured), flush=True)
    report(args, result)


if __name__ == '__main__':
    main()
