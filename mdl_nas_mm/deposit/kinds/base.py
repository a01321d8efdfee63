"""What every kind of storage says: which tensors there are, and what tasks have of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.layout import Run
from mdl_nas_mm.tasks import MultiTaskModel

from ..regions import Region
from ..structure import Structure
from ..weights import Weights

if TYPE_CHECKING:
    from ..unpack import Deposit


class Stored(Protocol):
    """A tensor, or what the header of a file says of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> torch.dtype: ...


class Piece(Protocol):
    """A part of one run of a task's weight."""

    def put(self, weight: np.ndarray, read: Callable[[str], np.ndarray]) -> None:
        """Copies it into the run.

        Args:
            weight: (rows, columns) of integers as wide as the weight's data type.
            read: name of a tensor -> its elements, as integers of their width.
        """


@dataclass(frozen=True)
class Contents:
    """What a deposit has, as its manifest and its header say it.

    Attributes:
        tasks: task -> its part of the manifest.
        entries: name -> tensor.
        dtype: of the backbone's weights.
    """

    structure: Structure
    tasks: Mapping[str, Mapping]
    entries: Mapping[str, Stored]
    dtype: torch.dtype

    def region(self, task: str) -> Region:
        """What a task uses of the backbone."""
        return self.structure.regions[self.tasks[task]['region']]


@dataclass(frozen=True)
class NewTasks:
    """Tasks that are being stored.

    Attributes:
        joint: the architectures of their backbones.
        labels: task -> the label of its region.
        bits: label -> under the mask policy, which channels are shared.
        heads: owners and what they have outside the backbone; the same ones may come twice.
        statistics: task -> running statistics of its backbone's batch norms, by state-dict key.
        deposit: the file that they are added to; None for a new one.
    """

    model: MultiTaskModel
    joint: JointSpec
    labels: Mapping[str, str]
    bits: Mapping[str, np.ndarray]
    heads: Sequence[tuple[str, nn.Module]]
    statistics: Mapping[str, Mapping[str, Tensor]]
    structure: Structure
    weights: Weights
    deposit: Deposit | None

    def region(self, task: str) -> Region:
        """What a new task uses of the backbone."""
        return self.structure.regions[self.labels[task]]

    def run_weights(self, task: str) -> dict[Run, Tensor]:
        """Run -> what a new task uses of it, or one of the file; see ``Deposit.run_weights``."""
        if task in self.labels:
            return self.weights.used(self.region(task))
        if self.deposit is None:
            raise ValueError(f'there is no task {task!r}')
        return self.deposit.run_weights(task)


@dataclass(frozen=True)
class Removal:
    """A task that goes, and what has to stay for the others: segments, and labels of regions."""

    task: str
    segments: Collection[str]
    labels: Collection[str]


class StoredKind:
    """How some of a deposit's tensors hold what tasks have. Registered in ``STORED_KINDS``.

    Attributes:
        prefix: what the names of its tensors begin with, up to the first slash.
        has_weights: whether all of its tensors have the data type of the backbone's weights.
    """

    prefix: ClassVar[str]
    has_weights: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """What the names of the tensors of this object begin with."""
        return self.prefix

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """Name -> tensor of new tasks, on the CPU."""
        return {}

    def check_same(self, new: NewTasks, tensors: Mapping[str, Tensor]) -> None:
        """Raises ValueError where new tasks have other values of what is in the file.

        Args:
            new: the tasks.
            tensors: those of the file.
        """

    def needed(self, contents: Contents) -> Iterable[str]:
        """The tensors that there have to be."""
        return ()

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """Raises ValueError for a tensor that belongs to nothing, or of a wrong size or type.

        This is asked before any tensor is read: a file may say anything.
        """
        raise ValueError(f'{name!r} belongs to nothing')

    def pieces(
        self, task: str, contents: Contents, weights_of: Callable[[str], Mapping[Run, Tensor]]
    ) -> dict[Run, list]:
        """Run of a parameter -> what this kind has of a task's weight, ``Piece`` objects.

        Args:
            task: whose weight.
            contents: of the file.
            weights_of: task -> run -> what another task uses of it.
        """
        return {}

    def name_after(self, name: str, removal: Removal) -> str | None:
        """The name that a tensor has when a task is gone; None for one that goes as well."""
        return name


@dataclass(frozen=True)
class TaskSpecificKind(StoredKind):
    """How is stored what one task alone owns of the backbone.

    A task's part of the manifest names the kind, and its settings, as ``stored``; without that
    it is ``OwnRows``. A kind is a frozen dataclass whose fields are its settings.

    Attributes:
        task: whose weights.
    """

    task: str

    @property
    def key(self) -> str:
        """See ``StoredKind``."""
        return f'{self.prefix}/{self.task}'

    @property
    def bases(self) -> tuple[str, ...]:
        """The tasks whose weights this one's are made of.

        They are in the file before it, and have no bases themselves.
        """
        return ()

    def elements(self, contents: Contents) -> int:
        """How many elements it has, as ``counts`` of the manifest says it."""
        raise NotImplementedError(f'{type(self).__name__} does not count its elements')

    def name_after(self, name: str, removal: Removal) -> str | None:
        """It goes with the task."""
        return None if removal.task == self.task else name


def check_form(name: str, entry: Stored, size: int, dtype: torch.dtype | None = None) -> None:
    """Raises ValueError unless a tensor is flat and has so many elements, of a data type."""
    if tuple(entry.shape) != (size,):
        raise ValueError(f'{name!r} has {int(np.prod(entry.shape))} elements, not {size}')
    if dtype is not None and entry.dtype != dtype:
        raise ValueError(f'{name!r} is {entry.dtype}, others are {dtype}')
