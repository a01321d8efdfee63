"""Sampling of subnets in an ordinary training of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mdl_nas_mm.elastic import ElasticBackbone, activate
from mdl_nas_mm.registry import HOOKS, SUBNET_SAMPLERS
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.utils.private import replace_train_step, restore_train_step

from .samplers import SubnetSampler


@HOOKS.register_module()
class SampleSubnetHook(Hook):
    """Trains another subnet in every iteration: the supernet of a single task.

    For upstream's own runners and loops, in a config whose backbone is an elastic one without
    ``arch``. Successive iterations go through what the sampler proposes, by default a sandwich:
    smallest, random ones, largest. What an iteration takes is a function of the runner's seed and
    the iteration alone, so that all ranks train the same subnet and a resumed run samples what
    the uninterrupted one does.

    Only training steps are sampled. Evaluation takes the largest subnet, or the ``arch`` that
    is put into the config for it.

    Args:
        sampler: one of ``SUBNET_SAMPLERS``; it observes nothing here.
    """

    def __init__(self, sampler: Mapping[str, Any] | None = None) -> None:
        self.sampler = dict(sampler or dict(type='SandwichSampler'))

    def before_train(self, runner: Runner) -> None:
        """Makes the model's training step run the iteration's subnet.

        The step itself is wrapped, not entered before and left after it, so that nothing stays
        active when it raises, nor while other hooks run the model.

        Raises:
            ValueError: the model has no elastic backbone, more than one, or a fixed one.
        """
        backbone, step = _elastic_backbone(runner.model), runner.model.train_step
        settings = dict(spaces={None: backbone.space}, seed=f'{runner.seed}/sandwich')
        subnets = SuccessiveSubnets(SUBNET_SAMPLERS.build({**self.sampler, **settings}))

        def train_step(*args: Any, **kwargs: Any) -> Any:
            with activate(backbone.task, subnets[runner.iter]):
                return step(*args, **kwargs)

        replace_train_step(runner.model, train_step)

    def after_train(self, runner: Runner) -> None:
        """Gives the model its own training step back."""
        restore_train_step(runner.model)


class SuccessiveSubnets:
    """Iteration -> its subnet; iterations go through one proposal of a sampler after another.

    Each proposal is asked for once, as it may be of any number of subnets. Only a run that is
    resumed asks for those of the iterations before as well.

    Args:
        sampler: of the task None.

    Raises:
        ValueError: a proposal is empty.
    """

    def __init__(self, sampler: SubnetSampler) -> None:
        self._sampler = sampler
        self._begin()

    def _begin(self) -> None:
        # The number of the present proposal, and the iteration of its first subnet.
        self._number = self._first = 0
        self._specs = self._proposed()

    def __getitem__(self, iteration: int) -> SubnetSpec:
        if iteration < self._first:
            self._begin()
        while iteration >= self._first + len(self._specs):
            self._first += len(self._specs)
            self._number += 1
            self._specs = self._proposed()
        return self._specs[iteration - self._first]

    def _proposed(self) -> list[SubnetSpec]:
        specs = self._sampler.propose(self._number)[None]
        if not specs:
            raise ValueError(f'{type(self._sampler).__name__} proposes no subnet')
        return specs


def _elastic_backbone(model: nn.Module) -> ElasticBackbone:
    found = [module for module in model.modules() if isinstance(module, ElasticBackbone)]
    if len(found) != 1:
        raise ValueError(f'SampleSubnetHook: the model has {len(found)} elastic backbones, not one')
    if found[0].is_fixed:
        raise ValueError(
            'the config asks both for a fixed arch and for sampling; remove arch from the '
            'backbone, or SampleSubnetHook from custom_hooks'
        )
    return found[0]
