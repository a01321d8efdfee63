"""Seeds that follow from where something is, and blocks in which all generators have one."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .process_wide import process_wide


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed that is a fixed function of its parts."""
    return zlib.crc32('/'.join(str(part) for part in parts).encode())


def set_seed(seed: int) -> None:
    """Seeds the generators that ``seeded`` does, for good: inside of such a block, many times."""
    for _, set_one, _ in _generators():
        set_one(seed)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seeds Python, numpy and torch on every device inside the block; restores their states after.

    One thread at a time is inside. Devices of CUDA are seeded where CUDA is in use: a process
    forked from one that has used it cannot.
    """
    with process_wide():
        generators = _generators()
        states = [get() for get, _, _ in generators]
        for _, set_one, _ in generators:
            set_one(seed)
        try:
            yield
        finally:
            for (_, _, restore), state in zip(generators, states):
                restore(state)


def _generators() -> list[tuple[Callable[[], Any], Callable[[int], Any], Callable[[Any], Any]]]:
    """How the state of each generator is read, seeded, and put back."""
    found: list[tuple[Callable[[], Any], Callable[[int], Any], Callable[[Any], Any]]] = [
        (random.getstate, random.seed, random.setstate),
        (np.random.get_state, np.random.seed, np.random.set_state),
    ]
    devices = [torch.default_generator]
    if torch.cuda.is_initialized():
        devices += torch.cuda.default_generators
    found += [(g.get_state, g.manual_seed, g.set_state) for g in devices]
    if torch.backends.mps.is_available():
        found.append((torch.mps.get_rng_state, torch.mps.manual_seed, torch.mps.set_rng_state))
    return found
