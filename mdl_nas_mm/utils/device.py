"""Devices: those that can be used, and what they are."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .one_line import first_line


def usable_device(name: str | torch.device) -> torch.device:
    """A device by its name, such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: there is no such device, or it cannot be used.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f'device {str(name)!r} cannot be used ({first_line(error)})') from None
    return device


def hardware_name(device: torch.device) -> str:
    """What the maker calls a GPU, or the processor."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()
