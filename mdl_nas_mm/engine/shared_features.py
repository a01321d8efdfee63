"""Features that the heads of several tasks take in turn, and give their gradients back to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel


@dataclass(frozen=True)
class _TaskFeatures:
    """A task's images, where their features are among those of all, and these features."""

    images: Tensor
    rows: Tensor | None
    features: Sequence[Tensor]


class SharedFeatures:
    """One pass of the backbone over the images of several tasks.

    Heads begin at detached features, so that each frees what it has computed with its own backward
    pass; their gradients add up in the features, and ``backward`` takes them through the backbone.

    Images that the tasks' preprocessors have padded to different sizes, as they may where labels
    are missing, are a pass for each size: what a task's features are does not depend on others.
    Tasks that take different features of the backbone share what leads to them.

    Args:
        model: the multi-task model.
        subnets: task -> its architecture; those of the backbone are the same, or parts of one.
        data: task -> its prepared batch.
        places: task -> the places of its images among those of all.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        subnets: Mapping[str, SubnetSpec],
        data: Mapping[str, Mapping],
        places: Mapping[str, Sequence[int]],
    ) -> None:
        self._backbone, self._subnets = model.backbone, subnets
        self._outputs: list[Tensor] = []
        self._leaves: list[Tensor] = []
        self._found: dict[str, _TaskFeatures] = {}
        self._apart: dict[str, list[Tensor | None]] = {}
        sizes: dict[torch.Size, dict[str, Tensor]] = {}
        for task in subnets:
            images = data[task]['inputs']
            sizes.setdefault(images.shape[1:], {})[task] = images
        for of_size in sizes.values():
            images, rows = _union(of_size, places)
            leaves: dict[Tensor, Tensor] = {}
            # Tasks of one key have one run, others what it has in common with theirs.
            runs: list[tuple[tuple, tuple[Tensor, ...]]] = []
            with SharedPass(trains=True):
                for task, own in of_size.items():
                    key = self._backbone.pass_key(task, subnets[task].root)
                    outputs = next((found for known, found in runs if known == key), None)
                    if outputs is None:
                        outputs = model.features(task, subnets[task], images)
                        runs.append((key, outputs))
                    for x in outputs:
                        if x not in leaves:
                            leaves[x] = x.detach().requires_grad_(x.requires_grad)
                    features = [leaves[x] for x in outputs]
                    self._found[task] = _TaskFeatures(own, rows[task], features)
            self._outputs += leaves.keys()
            self._leaves += leaves.values()

    @contextmanager
    def of(self, task: str) -> Generator[None]:
        """Gives a task's model the features of its images inside the block."""
        found, spec = self._found[task], self._subnets[task].root
        features = found.features
        if found.rows is not None:
            features = [x.index_select(0, found.rows) for x in features]
        with SharedPass() as shared:
            shared.put(self._backbone.pass_key(task, spec), found.images, features)
            yield

    def backward(self) -> None:
        """Takes the gradients that the heads have left through the backbone."""
        self._backward([leaf.grad for leaf in self._leaves])

    def keep_apart(self, task: str) -> None:
        """Keeps what a task's head has just left, for ``backward_apart``."""
        self._apart[task] = [leaf.grad for leaf in self._leaves]
        for leaf in self._leaves:
            leaf.grad = None

    def backward_apart(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """The tasks with gradients, and the backward pass through the backbone of each."""
        for number, (task, grads) in enumerate(self._apart.items(), 1):
            yield task, partial(self._backward, grads, retain=number < len(self._apart))

    def _backward(self, grads: Sequence[Tensor | None], retain: bool = False) -> None:
        reached = [pair for pair in zip(self._outputs, grads) if pair[1] is not None]
        if reached:
            outputs, own = zip(*reached)
            torch.autograd.backward(outputs, own, retain_graph=retain)


def _union(
    images: Mapping[str, Tensor], places: Mapping[str, Sequence[int]]
) -> tuple[Tensor, dict[str, Tensor | None]]:
    """The images (B, C, H, W) of several tasks, each once, and the rows of each task.

    The rows of a task that has all of them are None, and nothing is copied where there is one.
    """
    every = sorted({place for task in images for place in places[task]})
    whole = next((own for own in images.values() if len(own) == len(every)), None)
    if whole is None:
        found = {p: x for task, own in images.items() for p, x in zip(places[task], own)}
        whole = torch.stack([found[place] for place in every])
    rows: dict[str, Tensor | None] = {}
    for task, own in images.items():
        numbers = [every.index(place) for place in places[task]]
        rows[task] = None
        if len(own) < len(every):
            rows[task] = torch.tensor(numbers, device=whole.device)
    return whole, rows
