"""A backbone remembers no architecture: nothing that was run or counted before shows."""

import copy
import io
import pickle
import random

import torch
from numerics.small_swin import backbones_with_sharings
from numerics.small_vit import TASKS, build_vit, draw_images, draw_specs

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.spec import JointSpec, footprint


def used(build, sharing):
    """A backbone after a training step, an evaluation and some counting."""
    backbone, rng = build(sharing), random.Random(0)
    optimizer = torch.optim.SGD(backbone.parameters(), 0.01)
    for task in TASKS:
        with activate(task, backbone.space.sample(rng)):
            sum(out.sum() for out in backbone(draw_images((12, 16)))).backward()
    optimizer.step()
    with torch.no_grad(), activate('a', backbone.space.sample(rng)):
        backbone(draw_images((8, 8)))
    backbone.ledger().count(JointSpec({task: backbone.space.sample(rng) for task in TASKS}))
    return backbone


def answers(backbone, seed=5):
    images, rng = draw_images((9, 14)), random.Random(seed)
    specs = [backbone.space.sample(rng) for _ in range(4)]
    with torch.no_grad():
        return [backbone.forward_subnet(images, task, s)[-1] for s in specs for task in TASKS]


def assert_equal(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@backbones_with_sharings
def test_evaluation_does_not_depend_on_what_ran_before(build, sharing):
    backbone = build(sharing).eval()
    images, specs = draw_images((9, 14)), draw_specs(backbone, 4)
    passes = [(task, spec) for spec in specs for task in TASKS]
    with torch.no_grad():
        alone = [copy.deepcopy(backbone).forward_subnet(images, *one)[-1] for one in passes]
        for order in (passes, passes[::-1]):
            results = {one: backbone.forward_subnet(images, *one)[-1] for one in order}
            assert_equal([results[one] for one in passes], alone)


@backbones_with_sharings
def test_counting_between_two_passes_changes_nothing(build, sharing):
    backbone, rng = build(sharing), random.Random(0)
    spec, other = backbone.space.sample(rng), backbone.space.smallest()
    images = draw_images((12, 16))
    with activate('a', spec):
        before = backbone(images)
        ledger = backbone.ledger()
        counts = ledger.count(JointSpec(dict(a=other, b=spec)))
        ledger.params(other)
        ledger.layout.flops(other, (224, 224))
        footprint(ledger, [('b', other)])
        after = backbone(images)
    assert_equal(after, before)
    # And running changes no count.
    assert backbone.ledger().count(JointSpec(dict(a=other, b=spec))) == counts


@backbones_with_sharings
def test_deepcopy_after_use(build, sharing):
    backbone = used(build, sharing)
    before, (spec,) = answers(backbone), draw_specs(backbone, 0)[:1]
    with activate('a', spec):
        twin = copy.deepcopy(backbone)
    assert_equal(answers(twin), before)
    assert twin.ledger().params(spec) == backbone.ledger().params(spec)
    for name, parameter in twin.named_parameters():
        assert parameter is not backbone.get_parameter(name)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.5)
    assert_equal(answers(backbone), before)
    # A copy is an object of its own, down to what it counts with.
    assert twin.layout is not backbone.layout and twin.layout.uses is not backbone.layout.uses


@backbones_with_sharings
def test_pickling_after_use(build, sharing):
    backbone = used(build, sharing)
    twin = pickle.loads(pickle.dumps(backbone))
    assert_equal(answers(twin), answers(backbone))
    spec = backbone.space.sample(random.Random(3))
    assert twin.ledger().params(spec) == backbone.ledger().params(spec)
    for name in ('space', 'sharing', 'shape'):
        assert getattr(twin, name) == getattr(backbone, name)
    buffer = io.BytesIO()
    torch.save(backbone, buffer)
    buffer.seek(0)
    assert_equal(answers(torch.load(buffer, weights_only=False)), answers(backbone))


@backbones_with_sharings
def test_state_dict_says_all(build, sharing):
    """Another seed's backbone answers the same once it has the weights."""
    backbone, other = used(build, sharing), build(sharing, seed=1)
    assert not torch.equal(answers(backbone)[0], answers(other)[0])
    other.load_state_dict(backbone.state_dict(), strict=True)
    assert_equal(answers(other), answers(backbone))


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
