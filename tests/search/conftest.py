"""A tiny backbone to search in."""

import numpy as np
import pytest
from helpers import quick_mmengine  # noqa: F401
from roles import ROLES

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.search import ExactSelection, ParameterCost, evolution, search, smallest_total
from mdl_nas_mm.search.ties import Ties
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import Ledger, SearchSpace

SHAPE = ViTShape(img_size=(8, 8), patch_size=4, head_dim=2, max_relative_position=1)


def build_ledger(space: SearchSpace, sharing, heads=None, seed: int = 0) -> Ledger:
    """The ledger of a tiny ViT of this space, with random scores for the mask policy."""
    layout, rng = ViTLayout(space, SHAPE), np.random.default_rng(seed)
    scores = {
        use.layer: rng.random(use.groups * use.max_channels, np.float32)
        for use in layout.uses(space.largest())
        if use.role != 'stem'
    }
    return Ledger(layout, Sharing.from_config(sharing, ROLES), scores, heads)


@pytest.fixture
def make_ledger():
    return build_ledger


@pytest.fixture
def space() -> SearchSpace:
    """684 architectures, so 467,856 joint specs of two tasks."""
    return SearchSpace.from_config(
        dict(
            embed_dim=(6, 8),
            depth=(1, 2),
            num_heads=(1, 2, 3),
            mlp_ratio=(1, 2),
            share_ratio=(0, 0.5, 1),
        ),
        TRANSFORMER,
    )


def find(
    space,
    tasks,
    ledger,
    score,
    budget,
    settings,
    rng,
    weights=None,
    with_heads=True,
    tied=(),
    **more,
):
    """A search in one space, with the cost and the selection that a config has by default."""
    ties = Ties.of(tasks, tied)
    cost = ParameterCost(ledger, with_heads)
    weights = {task: (weights or {}).get(task, 1.0) for task in tasks}
    selection = ExactSelection(cost, weights, ties)
    spaces = dict.fromkeys(tasks, space)
    return search(spaces, cost, score, selection, budget, settings, rng, ties=ties, **more)


def smallest_of(space, ledger, tasks, with_heads=True):
    """The smallest joint spec of one space, and its parameters."""
    return smallest_total(dict.fromkeys(tasks, space), ParameterCost(ledger, with_heads))


def each(score):
    """An evaluator of lists of pairs from one of single (task, architecture) pairs."""
    return lambda pairs: [score(*pair) for pair in pairs]


@pytest.fixture
def proposed(monkeypatch):
    """Every joint spec that the searches of a test propose, in order."""
    joints, generation = [], evolution.Proposer.generation

    def noting(self, parents):
        new = generation(self, parents)
        joints.extend(new)
        return new

    monkeypatch.setattr(evolution.Proposer, 'generation', noting)
    return joints
