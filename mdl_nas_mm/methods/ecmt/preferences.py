"""What a user says matters, and the widths of decoders that follow from it (Eq. 4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from mdl_nas_mm.search.preferences import check_preferences
from mdl_nas_mm.utils.budgets import read_budget


def read_preferences(said: Iterable[str], tasks: Collection[str]) -> dict[str, float]:
    """Task -> number, of words such as ``seg=1`` and ``depth=0.3``.

    Args:
        said: the words.
        tasks: all that there are.

    Raises:
        ValueError: a word has another form, or a task's second one; see ``check_preferences``.
    """
    found: dict[str, float] = {}
    for word in said:
        task, equals, value = word.partition('=')
        if task in found:
            raise ValueError(f'preference {word!r}: task {task!r} is named twice')
        try:
            found[task] = float(value)
        except ValueError:
            equals = ''
        if not (task and equals):
            raise ValueError(f'preference {word!r}: expected TASK=NUMBER, such as seg=1')
    check_preferences(found, list(tasks), 'preferences')
    return found


def check_request(
    budget: str | float | None, prefer: Mapping[str, float] | None, tasks: Sequence[str]
) -> None:
    """Looks at a budget and preferences before any model is loaded for them.

    Args:
        budget, prefer: see ``Controller.configure``.
        tasks: all tasks.

    Raises:
        ValueError: the budget is in no known unit, or see ``normalised``.
    """
    if budget is not None:
        read_budget(budget)
    if prefer is not None:
        check_preferences(prefer, tasks, 'preferences')


def normalised(prefer: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """Task -> its preference in [0, 1], by min-max; of alike ones each is 1.

    Args:
        prefer: task -> a number in any scale; a task that is not named has 0.
        tasks: all tasks.

    Raises:
        ValueError: a task is unknown, a number is negative or not finite, or all are 0.
    """
    check_preferences(prefer, tasks, 'preferences')
    values = {task: float(prefer.get(task, 0)) for task in tasks}
    least, most = min(values.values()), max(values.values())
    if least == most:
        return dict.fromkeys(tasks, 1.0)
    return {task: (value - least) / (most - least) for task, value in values.items()}


def decoder_places(
    preference: float, choices: Sequence[Sequence[float]], lowered: float = 1.0
) -> np.ndarray:
    """Which choice each layer of a decoder gets: the nearest to Eq. 4, of two the larger.

    Args:
        preference: of its task, in [0, 1].
        choices: of each of its layers, ascending.
        lowered: multiplies the preference; 0 gives the smallest decoder.
    """
    places = []
    for own in choices:
        wanted = own[0] + (own[-1] - own[0]) * preference * lowered
        # Widths such as 0.7 are no exact numbers.
        distances = np.round(np.abs(np.array(own) - wanted), 9)
        places.append(len(own) - 1 - int(np.argmin(distances[::-1])))
    return np.array(places, np.int64)
