"""What the package asks of a family, asked of the toy one."""

import random
from dataclasses import replace

import pytest
import torch
from extension.toy_family import MIXER, MixerParts, ToyMixer
from refusals import raises_naming
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic import family
from mdl_nas_mm.elastic.family import register_family
from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.spec import SubnetSpec, footprint

CONFIG = dict(space='toy-mixer', sharing='Mask', tasks=('a', 'b'), pooled=dict(a=True, b=False))
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    return ToyMixer(**CONFIG).eval()


def specs(backbone, count=4):
    rng = random.Random(0)
    return [backbone.space.sample(rng) for _ in range(count)]


@torch.no_grad()
def test_a_subnet_is_the_plain_model_of_its_slices(backbone):
    for spec in specs(backbone):
        for task in 'ab':
            plain = plain_part(backbone, CONFIG, task, spec)
            expected = backbone.forward_subnet(IMAGES, task, spec)
            assert torch.equal(plain(IMAGES)[0], expected[0])
            weights = sum(p.numel() for p in plain.parameters())
            assert backbone.ledger().params(spec) == weights


def test_the_layout_names_every_element(backbone):
    largest = [(task, backbone.space.largest(share)) for task in 'ab' for share in (0, -1)]
    used = footprint(backbone.ledger(), largest)
    parameters = {n: p for n, p in backbone.named_parameters() if not n.endswith('.score')}
    assert {name for name, _ in used} == set(parameters)


@torch.no_grad()
def test_multiply_adds_are_those_that_are_run(backbone):
    for spec in specs(backbone):
        plain = plain_part(backbone, CONFIG, 'b', spec)
        with FlopCounterMode(display=False) as counter:
            plain(IMAGES)
        count = backbone.flops('b', spec, (16, 16))
        assert counter.get_total_flops() == 2 * len(IMAGES) * count


@torch.no_grad()
def test_published_weights_are_taken_over(backbone):
    arch = backbone.space.largest().to_dict()
    source, heir = ToyMixer(arch=arch), ToyMixer(space='toy-mixer', tasks=('a',))
    renames = {
        'stem.': 'stem.proj.',
        'norm_tokens': 'norm1',
        'norm_channels': 'norm2',
        '.tokens.': '.mlp_tokens.',
        '.channels.': '.mlp_channels.',
    }
    state = {}
    for key, value in source.state_dict().items():
        for ours, theirs in renames.items():
            key = key.replace(ours, theirs)
        state[f'backbone.{key}'] = value
    report = heir.inherit(state, reorder=True)
    assert report.style == 'timm Mixer' and not report.missing and not report.left_out
    expected = source(IMAGES)[0]
    torch.testing.assert_close(heir(IMAGES)[0], expected, rtol=1e-4, atol=1e-5)


def test_few_architectures_have_every_timed_part(backbone):
    parts, space = MixerParts(), backbone.space
    covered = {p for s in parts.covering_specs(space, random.Random(0)) for p in parts.parts(s)}
    assert covered == set(parts.all_parts(space))


def test_an_architecture_is_read_as_it_is_written(backbone):
    for spec in specs(backbone):
        read = MIXER.dimensions.read(spec.to_dict())
        assert read == spec and isinstance(read, SubnetSpec)


def test_a_name_is_that_of_one_family(monkeypatch):
    """Those that a package of one's own brings replace none that is there."""
    monkeypatch.setattr(family, '_KNOWN', dict(family.known_families()))
    assert register_family(MIXER) is MIXER
    with raises_naming(ValueError, "'ToyMixer'"):
        register_family(replace(MIXER))
    assert family.known_families()['ToyMixer'] is MIXER
