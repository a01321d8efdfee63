"""A backbone remembers no architecture: nothing that was run or counted before shows."""

import copy
import io
import pickle
import random

import pytest
import torch
from numerics.small_vit import SHARINGS, TASKS, build_vit, draw_images, draw_specs

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.spec import JointSpec, footprint

all_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


def used(sharing):
    """A backbone after a training step, an evaluation and some counting."""
    vit, rng = build_vit(sharing), random.Random(0)
    optimizer = torch.optim.SGD(vit.parameters(), 0.01)
    for task in TASKS:
        with activate(task, vit.space.sample(rng)):
            vit(draw_images((12, 16)))[0].sum().backward()
    optimizer.step()
    with torch.no_grad(), activate('a', vit.space.sample(rng)):
        vit(draw_images((8, 8)))
    vit.ledger().count(JointSpec({task: vit.space.sample(rng) for task in TASKS}))
    return vit


def answers(vit, seed=5):
    images, rng = draw_images((9, 14)), random.Random(seed)
    specs = [vit.space.sample(rng) for _ in range(4)]
    with torch.no_grad():
        return [vit.forward_subnet(images, task, s)[0] for s in specs for task in TASKS]


def assert_equal(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@all_sharings
def test_evaluation_does_not_depend_on_what_ran_before(sharing):
    vit = build_vit(sharing).eval()
    images, specs = draw_images((9, 14)), draw_specs(vit, 4)
    passes = [(task, spec) for spec in specs for task in TASKS]
    with torch.no_grad():
        alone = [copy.deepcopy(vit).forward_subnet(images, *one)[0] for one in passes]
        for order in (passes, passes[::-1]):
            results = {one: vit.forward_subnet(images, *one)[0] for one in order}
            assert_equal([results[one] for one in passes], alone)


@all_sharings
def test_counting_between_two_passes_changes_nothing(sharing):
    vit, rng = build_vit(sharing), random.Random(0)
    images, spec, other = draw_images((12, 16)), vit.space.sample(rng), vit.space.smallest()
    with activate('a', spec):
        (before,) = vit(images)
        ledger = vit.ledger()
        counts = ledger.count(JointSpec(dict(a=other, b=spec)))
        ledger.params(other)
        ledger.layout.flops(other, (224, 224))
        footprint(ledger, [('b', other)])
        (after,) = vit(images)
    assert torch.equal(before, after)
    # And running changes no count.
    assert vit.ledger().count(JointSpec(dict(a=other, b=spec))) == counts


@all_sharings
def test_deepcopy_after_use(sharing):
    vit = used(sharing)
    before, (spec,) = answers(vit), draw_specs(vit, 0)[:1]
    with activate('a', spec):
        twin = copy.deepcopy(vit)
    assert_equal(answers(twin), before)
    assert twin.ledger().params(spec) == vit.ledger().params(spec)
    for name, parameter in twin.named_parameters():
        assert parameter is not vit.get_parameter(name)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.5)
    assert_equal(answers(vit), before)
    # A copy is an object of its own, down to what it counts with.
    assert twin.layout is not vit.layout and twin.layout.uses is not vit.layout.uses


@all_sharings
def test_pickling_after_use(sharing):
    vit = used(sharing)
    twin = pickle.loads(pickle.dumps(vit))
    assert_equal(answers(twin), answers(vit))
    spec = vit.space.sample(random.Random(3))
    assert twin.ledger().params(spec) == vit.ledger().params(spec)
    assert (twin.space, twin.sharing, twin.shape) == (vit.space, vit.sharing, vit.shape)
    buffer = io.BytesIO()
    torch.save(vit, buffer)
    buffer.seek(0)
    assert_equal(answers(torch.load(buffer, weights_only=False)), answers(vit))


@all_sharings
def test_state_dict_says_all(sharing):
    """Another seed's backbone answers the same once it has the weights."""
    vit, other = used(sharing), build_vit(sharing, seed=1)
    assert not torch.equal(answers(vit)[0], answers(other)[0])
    other.load_state_dict(vit.state_dict(), strict=True)
    assert_equal(answers(other), answers(vit))


def test_ledger_has_the_scores_of_the_moment():
    vit = build_vit('Mask')
    joint = JointSpec(dict.fromkeys(TASKS, vit.space.largest(1)))
    before = vit.ledger()
    counts = before.count(joint)
    with torch.no_grad():
        for name, parameter in vit.named_parameters():
            if name.endswith('.score'):
                parameter.fill_(1)
    assert before.count(joint) == counts
    now = vit.ledger().count(joint)
    assert set(now.specific.values()) == {0} and min(counts.specific.values()) > 0
