"""Trainings in which batch norms keep no running statistics."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig
from mdl_nas_mm.tasks.recalibrate import norms_of


@contextmanager
def without_statistics(model: MultiTaskModel) -> Generator[None]:
    """Inside the block batch norms use the statistics of each batch, and keep none of them."""
    norms = norms_of(model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


def check_estimated(model: MultiTaskModel, cfg: ResolvedConfig, step: str) -> None:
    """Raises ValueError where batch norms would be evaluated without any statistics.

    Args:
        model: the model that is trained.
        cfg: its resolved joint config.
        step: the kind of step, which keeps none.
    """
    if norms_of(model) and not cfg.get('recalibrate_images', 0):
        raise ValueError(
            f'recalibrate_images is missing: {step} keeps no statistics of batch norms, so '
            'that they are estimated for each architecture that is evaluated; say from how many '
            'training images, such as recalibrate_images=256'
        )
