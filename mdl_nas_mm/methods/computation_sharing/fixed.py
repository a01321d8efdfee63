"""The second and the third stage: differences at fixed places, then sparse activations."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.utils.randomness import derive_seed

from .activations import ActivationPenalty, Frames, inputs_of
from .differences import Difference, SparseWeight
from .files import load_difference
from .step import DifferenceStep, key_of


@STEPS.register_module()
class FixedDifference(DifferenceStep):
    """Differences at places that do not change, with L1 on those of activations (Eq. 8 and 9).

    Args:
        spaces, optim_wrapper, norms_and_biases: see ``DifferenceStep``.
        difference: the file of places and first values; the stage before has written it.
        activations: ``coefficient``, ``grain`` and ``reduction`` of a penalty of differences from
            the base's activations on the same images, see ``ActivationPenalty``; without it only
            the task's loss is trained on.
        frames: the same of differences between frames, with ``first``, ``last`` and ``use``, where
            images are clips; see ``Frames``.

    Raises:
        FileNotFoundError, ValueError: see ``load_difference``; or a setting is none.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        difference: str,
        optim_wrapper: Mapping[str, Any] | None = None,
        norms_and_biases: bool = False,
        activations: Mapping[str, Any] | None = None,
        frames: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(spaces, optim_wrapper, norms_and_biases)
        self.path, self.start = difference, load_difference(difference)
        self.activations = None if activations is None else ActivationPenalty.of(activations)
        self.frames = None if frames is None else Frames.of(frames)
        self._position = (0, 0)

    def make(self) -> None:
        """See ``DifferenceStep``; compares the file with the weights."""
        self.values = nn.ParameterDict()
        for name, weight in self.weights.items():
            each = self.start.weights.get(name)
            if each is None or each.shape != weight.shape:
                found = 'missing' if each is None else f'{each.shape}'
                raise ValueError(
                    f'difference {self.path}: {name!r} is {found}, the base has {weight.shape}'
                )
            if not each.is_zero:
                self.values[key_of(name)] = nn.Parameter(each.values.clone())
                self.register_buffer(f'places/{key_of(name)}', each.indices.clone())
        for name in self.start.weights:
            if name not in self.weights:
                raise ValueError(f'difference {self.path}: the base has no weight {name!r}')
        if not self.values:
            raise ValueError(f'difference {self.path}: nothing differs; lower lambda_w')

    def adapt(self, model: MultiTaskModel, specs: Any) -> None:
        """See ``DifferenceStep``."""
        super().adapt(model, specs)
        recomputes = getattr(model.backbone, 'with_cp', False)
        if (self.activations or self.frames) and recomputes:
            raise ValueError('backbone.with_cp has to be False: activations are compared')
        self._position = (0, 0)

    def before(self, passes: Passes) -> None:
        """See ``DifferenceStep``."""
        self._position = (passes.plan.seed, passes.iteration)
        self.after()

    def derive(self, scale: float) -> None:
        """See ``DifferenceStep``."""
        for name, weight in self.weights.items():
            key, grad = key_of(name), weight.parameter.grad
            if key in self.values and grad is not None:
                self.values[key].grad = weight.of(grad).flatten()[self._places(key)]

    def after(self) -> None:
        """See ``DifferenceStep``."""
        self.write(self._merged)

    def loss(
        self, passes: Passes, task: str, spec: SubnetSpec, data: dict
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``Step``; the penalties are beside the loss, whatever its weight."""
        others: dict[int, Tensor] = {}
        if self.frames is not None:
            others = self.frames.split(data['inputs'])
            data = dict(data, inputs=others.pop(0))
        model, images = passes.model, len(data['inputs'])
        state = _random_state(data['inputs'])
        theirs = self._of_base(passes, task, spec, data['inputs'], state)
        with inputs_of(model.backbone) as ours:
            loss, values = passes.forward(task, spec, data)
        # Later passes put theirs in the same place.
        ours, penalties = dict(ours), {}
        if self.activations is not None:
            penalties['loss_activations'] = self.activations(ours, theirs, images)
        if self.frames is not None:
            penalties['loss_frames'] = self._frames(passes, task, spec, ours, others, state)
        if penalties:
            total = torch.stack(list(penalties.values())).sum() / passes.plan.weights[task]
            loss = passes.checked(task, spec, loss + total)
        return loss, {**values, **penalties}

    def _of_base(
        self, passes: Passes, task: str, spec: SubnetSpec, images: Tensor, state: list[Tensor]
    ) -> dict:
        """The inputs of the base's layers, with whatever is dropped in the task's own pass."""
        if self.activations is None:
            return {}
        model = passes.model
        with inputs_of(model.backbone) as found, passes.optim_wrapper.optim_context(model):
            with _random_from(state, images):
                self.run_base(model.backbone, task, spec, images)
        return dict(found)

    def _frames(
        self,
        passes: Passes,
        task: str,
        spec: SubnetSpec,
        ours: Mapping[str, Tensor],
        others: Mapping[int, Tensor],
        state: list[Tensor],
    ) -> Tensor:
        """The penalty of the differences between frames, in which the same is dropped, ()."""
        assert self.frames is not None
        generator = torch.Generator().manual_seed(derive_seed(*self._position, 'offset'))
        offsets, factor = self.frames.chosen(generator)
        found = []
        for offset in offsets:
            with _random_from(state, others[offset]):
                there = self._inputs(passes, task, spec, others[offset])
            found.append(self.frames.penalty(ours, there, len(others[offset])))
        return factor * torch.stack(found).sum()

    def _inputs(self, passes: Passes, task: str, spec: SubnetSpec, images: Tensor) -> dict:
        model = passes.model
        with inputs_of(model.backbone) as found, passes.optim_wrapper.optim_context(model):
            model.features(task, spec, images)
        return dict(found)

    def _merged(self, name: str) -> Tensor:
        merged, key = self.base(name).clone(), key_of(name)
        if key in self.values:
            merged.view(-1)[self._places(key)] += self.values[key]
        return merged

    def _places(self, key: str) -> Tensor:
        return self.get_buffer(f'places/{key}')


def _random_state(images: Tensor) -> list[Tensor]:
    """That of torch's generators on the processor and, if they are there, on the images' device."""
    of_device = [torch.cuda.get_rng_state(images.device)] if images.is_cuda else []
    return [torch.get_rng_state(), *of_device]


@contextmanager
def _random_from(state: list[Tensor], images: Tensor) -> Generator[None]:
    """Random numbers are those behind a state, and afterwards as if there had been none."""
    with torch.random.fork_rng([images.device] if images.is_cuda else []):
        torch.set_rng_state(state[0])
        for of_device in state[1:]:
            torch.cuda.set_rng_state(of_device, images.device)
        yield


def trained_difference(start: Difference, state: Mapping[str, Tensor]) -> Difference:
    """A difference with the values that a training has given it.

    Args:
        start: what the training began with.
        state: that of the ``FixedDifference``, as a checkpoint has it under ``method.step``.

    Raises:
        ValueError: the training had other places.
    """
    weights = {}
    for name, each in start.weights.items():
        key = key_of(name)
        places, values = (
            state.get(f'places/{key}', each.indices[:0]),
            state.get(f'values.{key}', each.values[:0]),
        )
        if not torch.equal(places, each.indices):
            raise ValueError(f'the places of {name!r} are others than those of the training')
        weights[name] = SparseWeight(each.shape, places, values)
    return Difference(weights)
