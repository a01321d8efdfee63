"""Devices that can be used."""

from __future__ import annotations

import torch


def usable_device(name: str | torch.device) -> torch.device:
    """A device by its name, such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: there is no such device, or it cannot be used.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'device {str(name)!r} cannot be used ({reason})') from None
    return device
