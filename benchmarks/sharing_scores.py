"""What computation sharing costs in score: a deposit's tasks with rising thresholds.

    python benchmarks/sharing_scores.py DEPOSIT [--less TASK ...] [--thresholds T ...]

Every task is scored on its validation split with what the base task, the first of the deposit,
computed of the same images taken over. ``delta_t`` is the mean relative change in percent over
sub-tasks, more is better, against a threshold of 0, which is exact; ``executed`` the multiply-adds
of each task over those that it takes alone. Gates are fitted to the first batch of the split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from measuring import parser, report
from torch import Tensor

from mdl_nas_mm.apis import evaluate_deposit
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.computation_sharing.running import (
    SharedComputation,
    SharingSettings,
    by_task,
)
from mdl_nas_mm.tasks.delta_t import delta_t, relative_change


class OfTask(SharedPass):
    """Every pass of the task's backbone inside of it is the group's."""

    def __init__(self, model: SharedComputation, task: str) -> None:
        super().__init__()
        self.model, self.task = model, task
        self.executed: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()

    def features(
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """See ``SharedPass``."""
        if self.model.needs_gates:
            self.model.fit_gates(images)
        outputs, state = self.model(images)
        for task, totals in by_task(state.work).items():
            self.executed[task] += totals.executed
            self.whole[task] += totals.whole
        return outputs[self.task]


def scored(path: str, tasks: list[str], threshold: float) -> tuple[dict, dict[str, float]]:
    """Task -> its score, and its multiply-adds over those alone."""
    opened, results, executed = Deposit(path), {}, {}
    backbones = {task: opened.load_task(task).backbone for task in tasks}
    attention = 'queries' if threshold else 'exact'
    settings = SharingSettings('tasks', threshold=threshold, attention=attention)
    model = SharedComputation(tasks[0], backbones, settings)
    for task in tasks:
        with OfTask(model, task) as shared:
            results[task] = round(float(evaluate_deposit(path, [task])[task][0]), 3)
        executed[task] = round(shared.executed[task] / shared.whole[task], 3)
    return results, executed


def main() -> None:
    options = parser(__doc__)
    options.add_argument('deposit')
    options.add_argument('--thresholds', type=float, nargs='+', default=[0.05, 0.1, 0.2, 0.4])
    text = 'Tasks whose score is better when it is less, such as an error.'
    options.add_argument('--less', nargs='*', default=[], help=text)
    args = options.parse_args()
    torch.set_num_threads(1)
    tasks = list(Deposit(args.deposit).tasks)
    exact, executed = scored(args.deposit, tasks, 0.0)
    found = {'0': dict(scores=exact, executed=executed)}
    for threshold in args.thresholds:
        results, executed = scored(args.deposit, tasks, threshold)
        changes = [
            [relative_change(results[task], exact[task], task not in args.less)]
            for task in tasks[1:]
        ]
        found[str(threshold)] = dict(
            scores=results, executed=executed, delta_t=round(delta_t(changes), 2)
        )
    report(args, found)


if __name__ == '__main__':
    main()
