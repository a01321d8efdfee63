"""What is known of a frame when the next one comes, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .work import Work


@dataclass(frozen=True, eq=False)
class Pair:
    """Rows that went into a part, and what it gave of them."""

    inputs: Tensor
    outputs: Tensor

    def copy(self) -> Pair:
        """With memory of its own."""
        return Pair(self.inputs.clone(), self.outputs.clone())


# Name of a part -> what it computed last.
Pairs = dict[str, Pair]


@dataclass(eq=False)
class State:
    """All that the next frame may take over. It is used up by the next frame, which writes into it.

    Attributes:
        model: which model it is of.
        size: (B, C, H, W) of the images.
        pairs: task -> part -> what it computed last.
        age: frames since the last one that was computed without the frame before.
        work: what the frame took, task by task and part by part.
        is_key: whether the frame was computed without the one before.
        is_whole: whether the next frame may take over more than how much has changed.
    """

    model: str
    size: tuple[int, ...]
    pairs: Mapping[str, Pairs]
    age: int
    work: tuple[Work, ...]
    is_key: bool
    is_whole: bool = True
    is_spent: bool = field(default=False, init=False)

    def use_up(self) -> None:
        """Says that the next frame has been computed."""
        self.is_spent = True

    def copy(self) -> State:
        """One with memory of its own, to go on from more than once."""
        pairs = {
            task: {name: pair.copy() for name, pair in own.items()}
            for task, own in self.pairs.items()
        }
        given = (self.age, self.work, self.is_key, self.is_whole)
        return State(self.model, self.size, pairs, *given)

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        for own in self.pairs.values():
            for pair in own.values():
                yield from (pair.inputs, pair.outputs)

    @property
    def bytes(self) -> int:
        """Memory of all tensors, each counted once."""
        sizes = {
            x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in self.tensors()
        }
        return sum(sizes.values())
