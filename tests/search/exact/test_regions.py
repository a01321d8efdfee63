"""Regions of shared elements, and what they let one leave out, against the ledger."""

import random

import numpy as np
import pytest
from test_selection import LAYOUTS, SHARINGS, build

from mdl_nas_mm.search.exact.choices import Choices
from mdl_nas_mm.search.exact.regions import shared_regions
from mdl_nas_mm.spec import JointSpec

every_sharing = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


@every_sharing
@pytest.mark.parametrize('name', LAYOUTS)
def test_sizes_of_regions_add_up_to_what_a_joint_spec_shares(name, sharing):
    ledger, rng = build(LAYOUTS[name](), sharing).ledger, random.Random(0)
    specs = [ledger.layout.space.sample(rng) for _ in range(24)]
    sizes, shares = shared_regions(ledger, [('a', spec) for spec in specs])
    assert shares.shape == (len(specs), len(sizes))
    assert (sizes > 0).all() and shares.any(axis=0).all()
    for _ in range(60):
        numbers = [rng.randrange(len(specs)) for _ in range(rng.randint(1, 5))]
        joint = JointSpec({str(task): specs[i] for task, i in enumerate(numbers)})
        assert sizes[shares[numbers].any(axis=0)].sum() == ledger.count(joint).shared


@every_sharing
def test_undominated_choices_and_no_others_are_kept(sharing):
    cost, rng = build(LAYOUTS['ViT'](), sharing), random.Random(1)
    specs = [cost.ledger.layout.space.sample(rng) for _ in range(40)]
    scores = np.array([float(rng.randint(0, 5)) for _ in specs])
    sizes, shares = shared_regions(cost.ledger, [('a', spec) for spec in specs])
    own = cost.batch.specific(cost.batch.encode(specs, 'a')).astype(float)
    choices = Choices([scores], [own], [shares.astype(float)], sizes)

    def replaces(a, b):
        both = cost.ledger.count(JointSpec(dict(a=specs[a], b=specs[b]))).shared
        instead = own[a] + both - sizes[shares[b]].sum()
        return scores[a] >= scores[b] and (instead < own[b] or (instead == own[b] and a < b))

    (kept,) = choices.undominated()
    everyone = range(len(specs))
    expected = [b for b in everyone if not any(replaces(a, b) for a in everyone if a != b)]
    assert kept.tolist() == expected
    assert len(expected) < len(specs) or sharing == 'AllShared'
