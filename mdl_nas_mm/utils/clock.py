"""A clock that GPUs need not wait for."""

from __future__ import annotations

import time

import torch


class Clock:
    """Marks points in time; on a GPU in its own stream, so that nothing waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.on_gpu = device, device.type == 'cuda'
        self.marks: list = []

    def mark(self) -> None:
        if self.on_gpu:
            self.marks.append(torch.cuda.Event(enable_timing=True))
            # An event's own default is the current GPU, which may be another one.
            self.marks[-1].record(torch.cuda.current_stream(self.device))
        else:
            self.marks.append(time.perf_counter())

    def gaps(self) -> list[float]:
        """Milliseconds from each mark to the next."""
        pairs = list(zip(self.marks, self.marks[1:]))
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
            return [first.elapsed_time(second) for first, second in pairs]
        return [1000 * (second - first) for first, second in pairs]
