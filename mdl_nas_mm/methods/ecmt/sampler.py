"""Which subnets a step of ECMT trains (Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping

from mdl_nas_mm.engine.samplers import Proposal, SubnetSampler
from mdl_nas_mm.registry import SUBNET_SAMPLERS
from mdl_nas_mm.spec import SearchSpace


@SUBNET_SAMPLERS.register_module()
class LargestFirstSampler(SubnetSampler):
    """The largest subnet, the smallest, and random ones.

    Lines 8 and 9 of Algorithm 1 sample ``models - 1`` random ones and add the smallest; the text
    has ``models`` in all, as here.

    Args:
        spaces, seed: see ``SubnetSampler``.
        models: subnets a task and step, b in the paper.
    """

    def __init__(
        self,
        spaces: Mapping[str | None, SearchSpace],
        seed: int | str = 0,
        models: int = 4,
    ) -> None:
        super().__init__(spaces, seed)
        if not isinstance(models, int) or models < 2:
            raise ValueError(
                f'train_cfg.sampler: models {models!r}, expected at least 2, the largest and the '
                'smallest subnet'
            )
        self.models = models

    def propose(self, iteration: int) -> Proposal:
        """A function of seed, iteration and task alone."""
        found: Proposal = {}
        for task, space in self.spaces.items():
            *others, largest = space.sandwich(self.rng(iteration, task), self.models - 2)
            found[task] = [largest, *others]
        return found
