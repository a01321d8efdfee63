"""What weighing the losses of four tasks on the same images costs in a training step.

    python benchmarks/balancing.py [--measure time] [--threads N ...] [--write FILE]

The model, batch and heads (FCN) of ``image_group.py``: one pass forward for all tasks. Each way of
balancing against fixed weights, in turn. ``peak_mebibytes`` is the most memory of a step beyond the
model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from image_group import BATCH, TASKS, joint_model, stepper
from measuring import arguments, each_thread_count, medians, peak_mebibytes, ratios, report

from mdl_nas_mm.engine.balancing import build_balancer

CASES: Mapping[str, Mapping[str, Any] | None] = {
    'fixed': None,
    'UncertaintyWeighting': dict(type='UncertaintyWeighting'),
    'DynamicWeightAverage': dict(type='DynamicWeightAverage', window=100),
    **{
        name: dict(type='GradientAggregation', aggregator=dict(type=name))
        for name in ('Mean', 'PCGrad', 'UPGrad', 'MGDA')
    },
}


def case(name: str) -> Callable[[], None]:
    """A step of one way of balancing."""
    config = CASES[name]
    balance = None if config is None else build_balancer(config, TASKS)
    return stepper(joint_model('FCN'), as_group=True, balance=balance)


def main() -> None:
    args = arguments(__doc__, measure=('time', 'memory'))

    def measure() -> dict[str, Any]:
        seconds = medians({name: case(name) for name in CASES}, args.rounds)
        return dict(
            step_seconds={name: round(value, 3) for name, value in seconds.items()},
            over_fixed=ratios(seconds, 'fixed'),
        )

    results = each_thread_count(measure, args.threads) if 'time' in args.measure else {}
    if 'memory' in args.measure:
        memory = {name: round(peak_mebibytes(partial(case, name))) for name in CASES}
        results['peak_mebibytes'] = memory
    report(args, dict(seed=0, batch=BATCH, tasks=len(TASKS), **results))


if __name__ == '__main__':
    main()
