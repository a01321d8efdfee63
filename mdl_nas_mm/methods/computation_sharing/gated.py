"""The first stage: where a sub-task's weights have to differ from its base's at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.utils.amounts import check_at_least, is_number
from mdl_nas_mm.utils.randomness import derive_seed

from .gates import Gates, check_grains
from .places import check_density
from .step import DifferenceStep, key_of


@STEPS.register_module()
class GatedDifference(DifferenceStep):
    """Differences times hard-concrete gates, with a penalty of their number (Eq. 6 and 7).

    One sample of the gates serves all passes of a step, the same on all processes. A model that
    is evaluated or saved has the gates without chance. Parameters are named
    ``gates.<layer>.<grain>`` and ``differences.<layer>``, for ``paramwise_cfg``.

    Args:
        spaces, optim_wrapper, norms_and_biases: see ``DifferenceStep``.
        lambda_w: what an expected element costs (Eq. 7).
        density: instead, the part of all elements that there shall be in the end. What is expected
            is held near it by ``strength`` times the square of how far it is away.
        ramp: steps over which the wanted density goes from 1 to ``density``.
        strength: see ``density``.
        gates: which gates there are: of ``elements``, ``rows`` (output channels) and ``layers``.

    Raises:
        ValueError: neither or both of ``lambda_w`` and ``density`` are given, or one is outside
            its range.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        optim_wrapper: Mapping[str, Any] | None = None,
        norms_and_biases: bool = False,
        lambda_w: float | None = None,
        density: float | None = None,
        ramp: int = 0,
        strength: float = 100.0,
        gates: Collection[str] = ('elements', 'layers'),
    ) -> None:
        super().__init__(spaces, optim_wrapper, norms_and_biases)
        if (lambda_w is None) == (density is None):
            raise ValueError('train_cfg.step: give lambda_w or density, one of them')
        if lambda_w is not None:
            check_at_least(lambda_w, 0, 'train_cfg.step: lambda_w')
        check_at_least(ramp, 0, 'train_cfg.step: ramp')
        check_at_least(strength, 0, 'train_cfg.step: strength')
        if density is not None:
            check_density(density, 'train_cfg.step')
        self.lambda_w, self.density, self.ramp, self.strength = lambda_w, density, ramp, strength
        self.grains = check_grains(gates)
        self._position = (0, 0)

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> Sequence[str]:
        """Says so where the wanted density is not reached with the training's end."""
        loop = cfg['train_cfg']
        ramp, steps = loop['step'].get('ramp', 0), loop['max_iters']
        if loop['step'].get('density') is None or not is_number(ramp) or ramp <= steps:
            return ()
        return [
            f'train_cfg.step.ramp is {ramp}, train_cfg.max_iters is {steps}: the training ends '
            'before the wanted density is the one that is given'
        ]

    def make(self) -> None:
        """See ``DifferenceStep``."""
        shapes = {key_of(name): weight.shape for name, weight in self.weights.items()}
        self.gates = nn.ModuleDict({key: Gates(s, self.grains) for key, s in shapes.items()})
        self.differences = nn.ParameterDict(
            {key: nn.Parameter(torch.zeros(shape)) for key, shape in shapes.items()}
        )

    def expected_density(self) -> Tensor:
        """The expected part of all elements of the weights that is not zero, ()."""
        counts = [self._gates(name).expected_elements(self.rows(name)) for name in self.weights]
        return torch.stack(counts).sum() / self._size

    def penalty(self) -> Tensor:
        """What is added to the loss of the task, ()."""
        density = self.expected_density()
        if self.lambda_w is not None:
            return self.lambda_w * self._size * density
        return self.strength * (density - self._wanted()) ** 2

    def before(self, passes: Passes) -> None:
        """See ``DifferenceStep``."""
        self._position = (passes.plan.seed, passes.iteration)
        self.write(lambda name: self.base(name) + self._sampled(name))

    def logged(self, iteration: int) -> dict[str, Tensor]:
        """See ``Step``; the expected density as well."""
        with torch.no_grad():
            density = {f'{self.task}/density': self.expected_density()}
        return super().logged(iteration) | density

    def derive(self, scale: float) -> None:
        """See ``DifferenceStep``."""
        for name, weight in self.weights.items():
            grad = weight.parameter.grad
            if grad is not None:
                self._sampled(name).backward(weight.of(grad))
        (self.penalty() * scale).backward()

    def after(self) -> None:
        """See ``DifferenceStep``."""
        self.write(lambda name: self.base(name) + self._gates(name).settled() * self._of(name))

    @property
    def _size(self) -> int:
        return sum(len(self.differences[key_of(n)].flatten()) for n in self.weights)

    def _wanted(self) -> float:
        assert self.density is not None
        done = 1.0 if not self.ramp else min(1.0, (self._position[1] + 1) / self.ramp)
        return 1 - done * (1 - self.density)

    def _gates(self, name: str) -> Gates:
        gates = self.gates[key_of(name)]
        assert isinstance(gates, Gates)
        return gates

    def _of(self, name: str) -> nn.Parameter:
        return self.differences[key_of(name)]

    def _sampled(self, name: str) -> Tensor:
        """The difference with this step's gates, which are the same whenever it is asked."""
        difference = self._of(name)
        generator = torch.Generator(difference.device)
        generator.manual_seed(derive_seed(*self._position, 'gates', name))
        return self._gates(name).sample(generator) * difference
