"""What a joint config says of its model's control: ``control``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mdl_nas_mm.utils.amounts import check_above, check_count, is_number
from mdl_nas_mm.utils.task_names import check_tasks


@dataclass(frozen=True)
class ControlSettings:
    """What commands take where no option says otherwise.

    Attributes:
        reference: task -> its worst loss, of which the hypervolume is measured; one number is that
            of all tasks.
        alpha: of the Dirichlet distribution of preferences.
        cycles: mutations of each search.
    """

    reference: float | Mapping[str, float] | None = None
    alpha: float = 0.2
    cycles: int = 10

    def __post_init__(self) -> None:
        check_above(self.alpha, 0, 'control: alpha is')
        check_count('control', 'cycles', self.cycles, 0)
        reference = self.reference
        for loss in reference.values() if isinstance(reference, Mapping) else [reference]:
            if loss is not None and not is_number(loss):
                raise ValueError(f'control: reference is {reference!r}, expected numbers')

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> ControlSettings:
        """Those of a config.

        Raises:
            ValueError: there is another key, or a value is none.
        """
        given, known = cfg.get('control') or {}, [field.name for field in fields(cls)]
        if not isinstance(given, Mapping):
            raise ValueError(f'control: {given!r}, expected some of {known}')
        for key in given:
            if key not in known:
                raise ValueError(f'control: unknown key {key!r}, expected some of {known}')
        return cls(**given)

    def point(self, tasks: Collection[str]) -> tuple[float, ...]:
        """The reference point, in the order of the tasks.

        Raises:
            ValueError: there is none, or it is of other tasks.
        """
        if self.reference is None:
            raise ValueError('reference point: give --reference, or control.reference in a config')
        if not isinstance(self.reference, Mapping):
            return (float(self.reference),) * len(tasks)
        check_tasks('control.reference', self.reference, tasks)
        for task in tasks:
            if task not in self.reference:
                raise ValueError(f'control.reference: the worst loss of {task!r} is missing')
        return tuple(float(self.reference[task]) for task in tasks)


def cycles_of(given: int | None, cfg: Mapping[str, Any] | None) -> int:
    """Mutations of each search: those of an option, or of a config."""
    return ControlSettings.of(cfg or {}).cycles if given is None else given
