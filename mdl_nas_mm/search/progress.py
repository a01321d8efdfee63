"""How far a search is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from mmengine.logging import MMLogger

from mdl_nas_mm.spec import SubnetSpec

from .history import Outcome, Pair

_SECONDS_BETWEEN_LINES = 10


class Progress:
    """Logs how far a search is, every few seconds and after each generation.

    Args:
        generations: how many are to be expected.
        parts: how many processes share the evaluations of a generation.
    """

    def __init__(self, generations: int, parts: int = 1) -> None:
        self.parts = parts
        self.logger = MMLogger.get_current_instance()
        self.begin('Search', generations)

    def begin(self, name: str, generations: int) -> None:
        """Starts anew, with something of another name."""
        self.name, self.generations = name, generations
        self.started = self.reported = time.monotonic()
        self.finished, self.asked, self.done = 0, 1, 0

    def counting(
        self, evaluate: Callable[[Sequence[Pair]], list[float | None]]
    ) -> Callable[[Sequence[Pair]], list[float | None]]:
        """Takes note of how many evaluations a generation asks for."""

        def counted(pairs: Sequence[Pair]) -> list[float | None]:
            self.asked, self.done = max(len(pairs), 1), 0
            return evaluate(pairs)

        return counted

    def timing(self, evaluate: Callable[[str, SubnetSpec], Outcome]):
        """Takes note of every single evaluation of this process."""

        def timed(task: str, spec: SubnetSpec) -> Outcome:
            outcome = evaluate(task, spec)
            self.done += self.parts
            now = time.monotonic()
            if now - self.reported > _SECONDS_BETWEEN_LINES:
                self.reported = now
                done = min(self.done, self.asked)
                self.logger.info(
                    f'{self.name} [{self.finished + 1}/{self.generations}]  '
                    f'evaluations: {done}/{self.asked}  eta: {self._left(now)}'
                )
            return outcome

        return timed

    def generation(self, entry: dict) -> None:
        """Reports a finished generation."""
        self.finished += 1
        self.asked, self.done = 1, 0
        left = self._left(time.monotonic())
        self.logger.info(
            f'{self.name} [{self.finished}/{self.generations}]  best s_score: '
            f'{entry["best"]:.2f}  params: {entry["total"]:,}  '
            f'evaluations: {entry["evaluations"]} (spared: {entry["spared"]})  eta: {left}'
        )

    def _left(self, now: float) -> str:
        share = self.finished + min(self.done / self.asked, 1)
        seconds = (now - self.started) * (max(self.generations / max(share, 1e-3) - 1, 0))
        return str(timedelta(seconds=round(seconds)))
