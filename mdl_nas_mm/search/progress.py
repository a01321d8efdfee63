"""How far a search is."""

from __future__ import annotations

import time
from datetime import timedelta

from mmengine.logging import MMLogger

_SECONDS_BETWEEN_LINES = 10


class SearchProgress:
    """Logs how far a search is, every few seconds and after each generation.

    Args:
        generations: how many are to be expected.
        parts: how many processes share the evaluations of a generation.
        unit: of what a joint spec costs.
    """

    def __init__(self, generations: int, parts: int = 1, unit: str = 'parameters') -> None:
        self.parts, self.unit = parts, unit
        self.logger = MMLogger.get_current_instance()
        self.begin('Search', generations)

    def begin(self, name: str, generations: int) -> None:
        """Starts anew, with something of another name."""
        self.name, self.generations = name, generations
        self.started = self.reported = time.monotonic()
        self.finished, self.expected, self.done = 0, 1, 0

    def asked(self, evaluations: int) -> None:
        """Takes note of how many evaluations a generation asks for."""
        self.expected, self.done = max(evaluations, 1), 0

    def evaluated(self, count: int) -> None:
        """Takes note of evaluations of this process."""
        self.done += count * self.parts
        now = time.monotonic()
        if now - self.reported > _SECONDS_BETWEEN_LINES:
            self.reported = now
            self.logger.info(
                f'{self.name} [{self.finished + 1}/{self.generations}]  evaluations: '
                f'{min(self.done, self.expected)}/{self.expected}  eta: {self._left(now)}'
            )

    def generation(self, entry: dict) -> None:
        """Reports a finished generation."""
        self.finished += 1
        self.expected, self.done = 1, 0
        left = self._left(time.monotonic())
        self.logger.info(
            f'{self.name} [{self.finished}/{self.generations}]  best s_score: '
            f'{entry["best"]:.2f}  {self.unit}: {entry["total"]:,}  '
            f'evaluations: {entry["evaluations"]} (spared: {entry["spared"]})  eta: {left}'
        )

    def _left(self, now: float) -> str:
        share = self.finished + min(self.done / self.expected, 1)
        seconds = (now - self.started) * (max(self.generations / max(share, 1e-3) - 1, 0))
        return str(timedelta(seconds=round(seconds)))
