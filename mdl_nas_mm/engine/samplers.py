"""Which subnets a step trains. A config names one of these in ``train_cfg.sampler``."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mdl_nas_mm.registry import SUBNET_SAMPLERS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.utils.amounts import check_count
from mdl_nas_mm.utils.randomness import derive_seed

# Task -> its subnets; see ``spaces`` of ``SubnetSampler`` for the task None.
Proposal = dict[Any, list[SubnetSpec]]


class SubnetSampler:
    """Says which subnets of each task a step trains.

    Every process asks a sampler of its own, and a resumed training a new one. So what it proposes
    has to follow from its arguments, the iteration, and its state, which follows from what it
    observes.

    Args:
        spaces: task -> what its subnets are sampled from. The single task of an ordinary training
            is None.
        seed: what all that is random is derived from.
    """

    def __init__(self, spaces: Mapping[str | None, SearchSpace], seed: int | str) -> None:
        self.spaces, self.seed = spaces, seed

    def propose(self, iteration: int) -> Proposal:
        """Each task's subnets of one step, in the order in which they are trained.

        Tasks that share a pass then get the backbone of one of them; see ``tied``.
        """
        raise NotImplementedError

    def rng(self, iteration: int, *names: str | None) -> random.Random:
        """Random numbers that follow from the seed, the iteration, and what they are for."""
        return random.Random(derive_seed(self.seed, iteration, *filter(None, names)))

    def observe(self, iteration: int, losses: Mapping[str, Tensor]) -> None:
        """Told after a step what is logged of it: the same losses of all tasks on all processes.

        Args:
            iteration: the step, as ``propose`` got it.
            losses: ``<task>/<name>`` -> mean over the task's batches, and ``loss``. Those of a
                task of which no image has a label in the step are not there.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it has learned, as plain data and tensors; goes into the checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what ``state_dict`` gave."""


@SUBNET_SAMPLERS.register_module()
class SandwichSampler(SubnetSampler):
    """The smallest subnet, random ones, and the largest; see ``SearchSpace.sandwich``.

    Args:
        spaces, seed: see ``SubnetSampler``.
        num_random: random subnets a task and step.
    """

    def __init__(
        self,
        spaces: Mapping[str | None, SearchSpace],
        seed: int | str = 0,
        num_random: int = 2,
    ) -> None:
        super().__init__(spaces, seed)
        check_count('SandwichSampler', 'num_random', num_random, 0)
        self.num_random = num_random

    def propose(self, iteration: int) -> Proposal:
        """A function of seed, iteration and task alone."""
        return {
            task: space.sandwich(self.rng(iteration, task), self.num_random)
            for task, space in self.spaces.items()
        }


@SUBNET_SAMPLERS.register_module()
class UniformSampler(SubnetSampler):
    """Random subnets alone; one of them is single-path training, as AutoFormer's (ICCV 2021).

    A step of one takes a third of the time of a sandwich with one random subnet.

    Args:
        spaces, seed: see ``SubnetSampler``.
        num_random: subnets a task and step.
    """

    def __init__(
        self,
        spaces: Mapping[str | None, SearchSpace],
        seed: int | str = 0,
        num_random: int = 1,
    ) -> None:
        super().__init__(spaces, seed)
        check_count('UniformSampler', 'num_random', num_random, 1)
        self.num_random = num_random

    def propose(self, iteration: int) -> Proposal:
        """A function of seed, iteration and task alone."""
        rngs = {task: self.rng(iteration, task) for task in self.spaces}
        return {
            task: [space.sample(rngs[task]) for _ in range(self.num_random)]
            for task, space in self.spaces.items()
        }


@SUBNET_SAMPLERS.register_module()
class FixedSampler(SubnetSampler):
    """One architecture a task, in every step: plain multi-task training.

    Args:
        spaces, seed: see ``SubnetSampler``.
        specs: task -> its architecture; by default the largest of its space.
    """

    def __init__(
        self,
        spaces: Mapping[str | None, SearchSpace],
        seed: int | str = 0,
        specs: Mapping[str | None, SubnetSpec] | None = None,
    ) -> None:
        super().__init__(spaces, seed)
        self.specs = specs or {task: space.largest() for task, space in spaces.items()}

    def propose(self, iteration: int) -> Proposal:
        """Always the same."""
        return {task: [self.specs[task]] for task in self.spaces}
