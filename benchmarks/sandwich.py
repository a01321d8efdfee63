"""A sandwich step against its subnets' steps one by one, and what of its work is common.

    python benchmarks/sandwich.py [--threads N ...] [--write benchmarks/results/NAME.json]

The demo's classifier and detector (its data is written first, where it is not there): the
smallest, two random and the largest subnet on one batch, with one preprocessing and one update,
against four steps of one subnet each. ``passes`` leaves the update out of both. ``parts_percent``
says what some parts of the sandwich's passes take of their time.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from measuring import arguments, each_thread_count, medians, ratios, report, timed

ROOT = Path(__file__).parents[1]
TASKS = ('cls', 'det')


def demo(tasks: Sequence[str] | None = None):
    """The demo's joint model for some tasks, ``<task>`` or ``<task>_<copy>``, and their batches."""
    from mmengine.config import Config

    from mdl_nas_mm.datasets import write_demo_data
    from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

    write_demo_data(ROOT / 'data/demo', progress=False)
    cfg = Config.fromfile(ROOT / 'configs/demo/demo_joint.py')
    if tasks is not None:
        cfg.tasks = {task: cfg.tasks[task.partition('_')[0]] for task in tasks}
    cfg = resolve_joint_config(cfg)
    model = untrained(cfg)
    batches = {
        task: next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))
        for task, info in cfg.tasks.items()
    }
    return model.train(), batches


def untrained(cfg):
    """The joint model of a resolved config, as its weights are initialised."""
    from mdl_nas_mm.registry import MODELS
    from mdl_nas_mm.tasks import task_scope
    from mdl_nas_mm.utils.quiet import quiet

    torch.manual_seed(0)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    with quiet():
        model.init_weights()
    return model


def sandwiches(model, tasks: Sequence[str]) -> dict[str, list]:
    """Task -> the subnets of its first step."""
    from mdl_nas_mm.engine.samplers import SandwichSampler

    return SandwichSampler(dict.fromkeys(tasks, model.backbone.space)).propose(0)


def stepper(model, update: bool = True) -> Callable:
    """A function of batches and subnets by task that makes one step, or its passes alone.

    The learning rate is 0, so that all steps have the same weights.
    """
    from mmengine.optim import OptimWrapper

    from mdl_nas_mm.engine.assignment import assign_ranks
    from mdl_nas_mm.engine.passes import Passes
    from mdl_nas_mm.engine.plan import StepPlan
    from mdl_nas_mm.engine.step import train_step
    from mdl_nas_mm.methods.mdl_nas import JointStep

    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.0))
    if not update:
        wrapper.step = lambda: None

    def step(batches, specs) -> None:
        sizes, weights = dict.fromkeys(batches, 1), dict.fromkeys(batches, 1.0)
        plan = StepPlan.make(assign_ranks(tuple(batches), None, 1), 0, sizes, weights, 0)
        passes = Passes(model, wrapper, {t: [b] for t, b in batches.items()}, plan, 0)
        train_step(JointStep({}, freeze_rest=update), passes, specs)

    return step


def compare(model, batch, task: str, rounds: int) -> dict[str, float]:
    """How many times as long as its subnets' steps one by one a sandwich takes."""
    specs = sandwiches(model, [task])
    # Preprocessing changes a batch, so that each is used once.
    fresh = [copy.deepcopy(batch) for _ in range(2 * (len(specs[task]) + 1) * (rounds + 1))]

    def sandwich(step) -> None:
        step({task: fresh.pop()}, specs)

    def one_by_one(step) -> None:
        for spec in specs[task]:
            step({task: fresh.pop()}, {task: [spec]})

    steps = dict(step=stepper(model), passes=stepper(model, update=False))
    cases = {
        f'{case.__name__} {name}': partial(case, step)
        for name, step in steps.items()
        for case in (sandwich, one_by_one)
    }
    seconds = medians(cases, rounds)
    return {name: ratios(seconds, f'one_by_one {name}')[f'sandwich {name}'] for name in steps}


def parts(model, batch, task: str, rounds: int) -> dict[str, float]:
    """What parts of a sandwich's passes take of their time, in percent."""
    specs = sandwiches(model, [task])
    spent: dict[str, float] = defaultdict(float)
    watched = [('preprocessing', model, 'preprocess')]
    watched += [('patch embedding', model.backbone.patch_embed, 'forward')]
    if hasattr(model.tasks[task], 'rpn_head'):
        head = model.tasks[task].rpn_head
        watched += [('anchors', head, 'get_anchors'), ('anchor targets', head, 'get_targets')]
    for name, owner, attribute in watched:
        setattr(owner, attribute, timed(spent, name, getattr(owner, attribute)))
    step = timed(spent, 'all', stepper(model, update=False))
    for fresh in [copy.deepcopy(batch) for _ in range(rounds)]:
        step({task: fresh}, specs)
    for _, owner, attribute in watched:
        delattr(owner, attribute)
    return {
        name: round(100 * value / spent['all'], 2) for name, value in spent.items() if name != 'all'
    }


def main() -> None:
    args = arguments(__doc__)
    model, batches = demo()

    def measure() -> dict[str, dict]:
        return {
            task: dict(
                sandwich_over_one_by_one=compare(model, batches[task], task, args.rounds),
                parts_percent=parts(model, batches[task], task, args.rounds),
            )
            for task in TASKS
        }

    report(args, dict(seed=0, **each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()
