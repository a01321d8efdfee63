"""Sampling of subnets in an ordinary training of one task."""

from __future__ import annotations

import random
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mdl_nas_mm.elastic import ElasticBackbone, activate
from mdl_nas_mm.registry import HOOKS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.tasks.data import derive_seed


@HOOKS.register_module()
class SampleSubnetHook(Hook):
    """Trains another subnet in every iteration: the supernet of a single task.

    For upstream's own runners and loops, in a config whose backbone is an elastic one without
    ``arch``. Successive iterations go through a sandwich: smallest, random ones, largest. What
    an iteration takes is a function of the runner's seed and the iteration alone, so that all
    ranks train the same subnet and a resumed run draws what the uninterrupted one does.

    Only training steps are sampled. Evaluation takes the largest subnet, or the ``arch`` that
    is put into the config for it.

    Args:
        num_random: random subnets in each sandwich.
    """

    def __init__(self, num_random: int = 2) -> None:
        self.num_random = num_random

    def before_train(self, runner: Runner) -> None:
        """Makes the model's training step run the iteration's subnet.

        The step itself is wrapped, not entered before and left after it, so that nothing stays
        active when it raises, nor while other hooks run the model.

        Raises:
            ValueError: the model has no elastic backbone, more than one, or a fixed one.
        """
        backbone, step = _elastic_backbone(runner.model), runner.model.train_step

        def train_step(*args: Any, **kwargs: Any) -> Any:
            spec = draw_subnet(backbone.space, runner.seed, runner.iter, self.num_random)
            with activate(backbone.task, spec):
                return step(*args, **kwargs)

        runner.model.train_step = train_step

    def after_train(self, runner: Runner) -> None:
        """Gives the model its own training step back."""
        del runner.model.train_step


def draw_subnet(space: SearchSpace, seed: int, iteration: int, num_random: int = 2) -> SubnetSpec:
    """The subnet of one iteration; successive iterations go through sandwiches."""
    number, place = divmod(iteration, num_random + 2)
    specs = space.sandwich(random.Random(derive_seed(seed, 'sandwich', number)), num_random)
    # A space of a single architecture has sandwiches of one.
    return specs[place % len(specs)]


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
