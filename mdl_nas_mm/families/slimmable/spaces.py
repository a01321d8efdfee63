"""Search spaces of published work by name; each has the same choices for all layers."""

from __future__ import annotations


def _tenths(first: int) -> dict:
    return dict(width_ratio=tuple(i / 10 for i in range(first, 11)))


SPACES: dict[str, dict] = {
    # "Efficient Controllable Multi-Task Architectures" (Aich et al., ICCV 2023, Section 5).
    'ecmt-nyud': _tenths(6),
    'ecmt-pascal': _tenths(5),
    'ecmt-cifar': _tenths(2),
    # A single architecture: the published network.
    'whole': dict(width_ratio=1.0),
}
