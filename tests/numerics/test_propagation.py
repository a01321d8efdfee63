"""ElasticViT with ViTDet's convolutional propagation against the plain model of its slices."""

import copy

import pytest
import torch
from numerics.comparing import EXACT, check_gradients, check_padded, detached
from numerics.counting import multiply_adds, numel
from numerics.plain_vit import as_features, plain_of
from numerics.small_vit import SPACE, TASKS, build_vit, draw_images, draw_specs
from refusals import raises_naming

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.vit.propagation import ElasticPropagation
from mdl_nas_mm.sharing import read_policy
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.batch_ledger import BatchLedger

KINDS = ('naive', 'basic', 'bottleneck')
DEEP = dict(SPACE, depth=(1, 3, 6))
SIZES = [(20, 12), (25, 31), (7, 4)]


def build(sharing='Sequential', **changes):
    return build_vit(sharing, **{**dict(space=DEEP, out_type='featmap'), **changes})


@pytest.mark.parametrize(
    'changes',
    [
        dict(window_size=3, propagation=dict(a='basic', b='bottleneck')),
        dict(window_size=2, propagation='naive', global_attention=False),
        dict(propagation=dict(a='none', b='basic'), sharing='AllShared'),
        dict(
            window_size=3,
            propagation='bottleneck',
            global_attention=dict(a=False, b=True),
            with_cp=True,
            out_indices=(1, 3, -1),
        ),
    ],
    ids=str,
)
def test_every_subnet_equals_the_plain_model_of_its_slices(changes):
    """Maps and gradients, and what is counted of it."""
    vit = build(**changes)
    for i, spec in enumerate(draw_specs(vit, 6)):
        task, size = TASKS[i % 2], SIZES[i % 3]
        leaves = detached(vit)
        plain, state = plain_of(vit, spec, task, leaves)
        tokens, grid = torch.func.functional_call(plain, state, (draw_images(size),))
        wanted = vit.wanted_blocks(task, spec)
        theirs = [as_features(tokens[b], grid, plain.class_token, 'featmap') for b in wanted]
        ours = vit.forward_subnet(draw_images(size), task, spec)
        for one, other in zip(ours, theirs, strict=True):
            check_padded(one, other, vit.out_channels, EXACT)
        check_gradients(vit, leaves, state, ours, theirs)
        assert vit.ledger().params(spec, task) == numel(plain)


def test_it_counts_to_the_block_in_front_of_it():
    """For decays of learning rates; of six blocks it is behind the second, third, fifth, last."""
    vit = build(propagation='naive')
    depths = [vit.depth_of(f'propagations.naive.{i}.convs.0.weight') for i in range(4)]
    assert depths == [2, 3, 5, 6]
    assert depths == [vit.depth_of(f'blocks.{i}.norm1.weight') for i in (1, 2, 4, 5)]


def test_convolutions_begin_as_vitdets():
    """He's initialisation by the outputs, whose variance is 2 / (outputs times kernel)."""
    torch.manual_seed(0)
    part = ElasticPropagation('bottleneck', 128, read_policy('AllSpecific'), ('a', 'b'), 1e-6)
    for conv, outputs in zip(part.convs, (64, 64, 128), strict=True):
        first, other = conv.all_of('weight')
        expected = (2 / (outputs * conv.side**2)) ** 0.5
        assert first.std().item() == pytest.approx(expected, rel=0.05)
        assert torch.equal(first, other)
    # Each task's is the identity.
    assert [w.any().item() for w in part.norms[-1].all_of('weight')] == [False, False]


@pytest.mark.parametrize('kind', KINDS)
def test_it_starts_as_the_identity(kind):
    """Outputs equal those without, to the bit; with a class token, in windows or not."""
    images = draw_images((20, 28), dtype=torch.float32)
    for settings in (dict(), dict(window_size=2), dict(window_size=2, global_attention=False)):
        common = dict(space=DEEP, img_size=(20, 12), patch_size=4, head_dim=4, **settings)
        torch.manual_seed(0)
        without = ElasticViT(**common, out_type='featmap', out_indices=(1, -1))
        torch.manual_seed(0)
        vit = ElasticViT(**common, out_type='featmap', out_indices=(1, -1), propagation=kind)
        new = vit.load_state_dict(without.state_dict(), strict=False).missing_keys
        assert new and all(name.startswith('propagations.') for name in new)
        for spec in draw_specs(vit, 3):
            pairs = zip(*(each.forward_subnet(images, None, spec) for each in (vit, without)))
            assert all(torch.equal(one, other) for one, other in pairs)
        sum(x.square().sum() for x in vit(images)).backward()
        last = vit.propagations[kind][-1].norms[-1].weight
        assert last.grad.any(), 'it can be learned'


@pytest.mark.parametrize('kind', KINDS)
def test_flops(kind):
    vit = build_vit(
        space=DEEP,
        out_type='featmap',
        max_relative_position=0,
        window_size=2,
        global_attention=False,
        propagation=kind,
    )
    for i, spec in enumerate(draw_specs(vit, 4)):
        size = SIZES[i % 2]
        plain, _ = plain_of(vit, spec, 'a', dict(vit.named_parameters()))
        for count, products in zip(multiply_adds(plain, size), (True, False), strict=True):
            assert vit.flops('a', spec, size, products) == count


@pytest.mark.parametrize('sharing', ['AllShared', 'Sequential'])
def test_many_joint_specs_are_counted_alike(sharing):
    """What each task owns beside what it shares, whoever has the same architecture."""
    vit = build(sharing, propagation=dict(a='basic', b='basic'), window_size=2)
    ledger, specs = vit.ledger(), draw_specs(vit, 20)
    joints = [JointSpec(dict(a=a, b=b)) for a, b in zip(specs, specs[::-1])]
    joints += [JointSpec(dict(a=spec, b=spec)) for spec in specs]
    totals = BatchLedger(ledger).totals(joints).tolist()
    assert totals == [ledger.count(joint).backbone_total for joint in joints]
    by_hand = copy.deepcopy(vit)
    joint = JointSpec(dict.fromkeys('ab', vit.space.largest(0)))
    assert sharing != 'AllShared' or ledger.count(joint).backbone_total == numel(by_hand)


def test_refusals():
    with raises_naming(ValueError, 'propagation', 'wide', 'bottleneck'):
        build(propagation='wide')
    with raises_naming(ValueError, 'propagation', 'b'):
        build(propagation=dict(a='basic'))
