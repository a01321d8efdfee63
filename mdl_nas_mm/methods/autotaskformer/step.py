"""The training step of AutoTaskFormer (Algorithm 1, Eq. 5), and uniform sampling beside it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mdl_nas_mm.engine.pass_batch import PassBatch
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.families.swin_unet.skeletons import read_skeletons
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.utils.randomness import derive_seed
from mdl_nas_mm.utils.task_names import check_tasks

from .heads import VALUE, SkeletonHeads, weighing
from .logits import SkeletonLogits, Temperature, gumbel

Skeletons = str | Sequence[str]


class SkeletonStep(Step):
    """Every task's loss on skeletons of one pass, weighted; a subclass says by how much.

    Tasks that share a pass run the backbone once for each subnet, through all cells that any
    skeleton needs. Each has ``SkeletonHeads``. Logged are the losses of each task's last subnet,
    of a sandwich the largest, as they are weighted.

    Args:
        spaces, freeze_rest, optim_wrapper: see ``Step``.
        skeletons: those of ``ElasticSwinUNet``, said in the same way; or task -> its own.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
        skeletons: Skeletons | Mapping[str, Skeletons] = 'single-scale',
    ) -> None:
        super().__init__(spaces, freeze_rest, optim_wrapper)
        given = skeletons if isinstance(skeletons, Mapping) else dict.fromkeys(spaces, skeletons)
        for task in spaces:
            if task not in given:
                raise ValueError(f'train_cfg.step: skeletons: nothing for task {task!r}')
        check_tasks('train_cfg.step: skeletons', given, spaces)
        self.names = {task: _names(task, given[task]) for task in spaces}

    def weights(self, task: str, iteration: int, number: int, seed: int) -> dict[str, Tensor]:
        """Skeleton -> what its loss counts in one pass; the same on every process.

        Args:
            task: whose.
            iteration: the step.
            number: of the pass among those of the step.
            seed: of the training.
        """
        raise NotImplementedError

    def adapt(self, model: MultiTaskModel, specs: JointSpec | None) -> None:
        """Raises ValueError for a task without a head for each of its skeletons."""
        for task, upstream in model.tasks.items():
            head = getattr(upstream, 'decode_head', None)
            if not isinstance(head, SkeletonHeads):
                raise ValueError(
                    f'task {task!r}: {type(self).__name__} needs a head for each skeleton; make '
                    "its decode_head one of type 'mdl_nas_mm.SkeletonHeads'"
                )
            for name in self.names[task]:
                if name not in head.names:
                    raise ValueError(
                        f'task {task!r}: no head for skeleton {name!r}, its decode_head has '
                        f'{", ".join(head.names)}'
                    )
            cells = model.backbone.output_cells(task)
            if cells != head.cells:
                raise ValueError(
                    f'task {task!r}: the backbone gives the maps of {", ".join(cells)}, its '
                    f'decode_head takes those of {", ".join(head.cells)}: give both the same '
                    'skeletons'
                )

    def train_batch(
        self,
        passes: Passes,
        batch: PassBatch,
        data: Mapping[str, dict],
        subnets: Sequence[Mapping[str, SubnetSpec]],
    ) -> None:
        """Subnet by subnet, task by task."""
        values: dict[str, dict[str, Tensor]] = {}
        for number, each in enumerate(subnets):
            with passes.shared(each, data):
                for task, spec in each.items():
                    factor = passes.factor(task, batch) / len(subnets)
                    given = (passes.iteration, number, passes.plan.seed)
                    with weighing(self.weights(task, *given)):
                        loss, values[task] = passes.forward(task, spec, data[task])
                    passes.backward(task, loss, factor)
        for task in batch.tasks:
            kept = {key: x for key, x in values[task].items() if f'.{VALUE}' not in key}
            passes.log(task, batch, kept)


def _names(task: str, skeletons: Skeletons) -> tuple[str, ...]:
    try:
        return tuple(skeleton.name for skeleton in read_skeletons(skeletons))
    except ValueError as error:
        raise ValueError(f'train_cfg.step, task {task!r}: {error}') from None


@STEPS.register_module()
class AutoTaskFormerStep(SkeletonStep):
    """The loss of every skeleton, weighted by a Gumbel softmax of learned logits (Eq. 4, 5).

    Noise is sampled for each task and pass. The logits are the step's own parameters, with an
    optimizer of their own: ``optim_wrapper``. The likeliest skeleton of a task answers for it in a
    validation; when that changes it is said. The log has its number and the entropy of the
    distribution as ``<task>/skeleton`` and ``<task>/skeleton_entropy``.

    Args:
        spaces, freeze_rest, optim_wrapper, skeletons: see ``SkeletonStep``.
        temperature: ``dict(steps=..., start=5.0, end=0.1)``: in how many steps it falls, and from
            where to where.
        leave_out: skeletons whose weight, averaged over some 100 passes, falls below it are no
            longer computed; None keeps all.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        temperature: Mapping[str, Any],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
        skeletons: Skeletons | Mapping[str, Skeletons] = 'single-scale',
        leave_out: float | None = None,
    ) -> None:
        super().__init__(spaces, freeze_rest, optim_wrapper, skeletons)
        self.temperature = Temperature.read(temperature)
        self.skeletons = nn.ModuleDict(
            {task: SkeletonLogits(len(names), leave_out) for task, names in self.names.items()}
        )

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> Sequence[str]:
        """Says so where the temperature does not reach its end with the training's."""
        temperature = cfg['train_cfg']['step'].get('temperature')
        given = temperature.get('steps') if isinstance(temperature, Mapping) else None
        max_iters = cfg['train_cfg']['max_iters']
        if given is None or given == max_iters:
            return ()
        return [
            f'train_cfg.step.temperature.steps is {given}, train_cfg.max_iters is {max_iters}: '
            'the temperature does not reach its end where the training does; give both one number'
        ]

    def _of(self, task: str) -> SkeletonLogits:
        return cast(SkeletonLogits, self.skeletons[task])

    def weights(self, task: str, iteration: int, number: int, seed: int) -> dict[str, Tensor]:
        """Of those that are not left out; differentiable in the logits."""
        of_task, names = self._of(task), self.names[task]
        noise = gumbel(len(names), derive_seed(seed, iteration, task, 'skeletons', number))
        weights = of_task(noise, self.temperature(iteration))
        return {name: w for name, w, left in zip(names, weights, of_task.left.tolist()) if left}

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """See ``SkeletonStep``; in the end skeletons may be left out, the same on every process."""
        super().run(passes, specs)
        for task, group in specs.items():
            of_task = self._of(task)
            for number in range(len(group)):
                found = self.weights(task, passes.iteration, number, passes.plan.seed)
                none = of_task.mean.new_zeros(())
                weights = [found.get(name, none).detach() for name in self.names[task]]
                of_task.observe(torch.stack(weights))

    def updated(self, model: MultiTaskModel) -> None:
        """Makes the likeliest skeletons those that answer."""
        for task, upstream in model.tasks.items():
            head, name = upstream.decode_head, self.names[task][self._of(task).best]
            new = head.names.index(name)
            if new != int(head.chosen):
                head.chosen.fill_(new)
                print_log(f'task {task!r}: skeleton {name!r} is the likeliest now', 'current')

    def logged(self, iteration: int) -> dict[str, Tensor]:
        """The likeliest skeleton's number and the entropy of each task, and the temperature."""
        found = super().logged(iteration)
        found['skeleton_temperature'] = torch.tensor(self.temperature(iteration))
        for task in self.names:
            found[f'{task}/skeleton'] = torch.tensor(float(self._of(task).best))
            found[f'{task}/skeleton_entropy'] = self._of(task).entropy
        return found


@STEPS.register_module()
class UniformSkeletonStep(SkeletonStep):
    """One skeleton for each task and pass, all of them equally often: the baseline of Fig. 7.

    Nothing is learned of skeletons. Which one a task prefers is decided afterwards, by a
    validation of each: ``tools/skeletons.py --validate``.
    """

    def weights(self, task: str, iteration: int, number: int, seed: int) -> dict[str, Tensor]:
        """That of a single skeleton."""
        rng = random.Random(derive_seed(seed, iteration, task, 'skeletons', number))
        return {rng.choice(self.names[task]): torch.ones(())}
