"""Thresholds of blocks for a given loss of score."""

import pytest
import torch
from refusals import raises_naming

from mdl_nas_mm.families.swin.model import ElasticSwin
from mdl_nas_mm.families.vit.model import ElasticViT
from mdl_nas_mm.methods.computation_sharing import linear_layers
from mdl_nas_mm.methods.computation_sharing.thresholds import (
    block_differences,
    choose_thresholds,
)

ASCENDING = [torch.linspace(0, 1, 1001), torch.linspace(0, 10, 1001)]


def part_of(thresholds):
    """What part of the differences lies below."""
    below = [(each <= t).double().mean() for each, t in zip(ASCENDING, thresholds)]
    return float(sum(below) / len(below))


@pytest.mark.parametrize('loss', [0.5, 2.0, 8.0])
def test_as_much_is_left_out_as_the_score_allows(loss):
    """A score that falls with the part that is left out, by 10 in all."""
    asked = []

    def score(thresholds):
        asked.append(thresholds)
        return 50 - 10 * part_of(thresholds)

    found, reached = choose_thresholds(ASCENDING, score, loss, steps=10)
    exact = score([0.0, 0.0])
    assert exact - loss <= reached <= exact - loss + 0.05
    assert score(found) == reached
    # Both blocks leave out the same part, so the second has ten times the threshold.
    assert found[1] == pytest.approx(10 * found[0], rel=0.02)
    assert len(asked) <= 14


def test_where_nothing_matters_all_is_left_out():
    found, reached = choose_thresholds(ASCENDING, lambda _: 7.0, 0.0)
    assert found == [1.0, 10.0] and reached == 7.0


def test_where_everything_matters_nothing_is():
    found, reached = choose_thresholds(ASCENDING, lambda t: -float(sum(t)), 0.0)
    assert max(found) < 0.05 and reached == -float(sum(found))
    with raises_naming(ValueError, 'loss', '-1'):
        choose_thresholds(ASCENDING, lambda _: 0.0, -1)
    with raises_naming(ValueError, 'nan'):
        choose_thresholds(ASCENDING, lambda _: 0.0, float('nan'))


def test_few_differences_and_a_loss_that_is_just_allowed():
    """Half of the differences lies below the third of four; half a point more is too much."""
    differences = [torch.tensor([0.0, 1.0, 2.0, 3.0])]
    score = lambda thresholds: 10 - thresholds[0]  # noqa: E731
    assert choose_thresholds(differences, score, 2.0, steps=1) == ([2.0], 8.0)
    assert choose_thresholds(differences, score, 3.0, steps=1) == ([3.0], 7.0)
    assert choose_thresholds(differences, score, 1.9, steps=1) == ([0.0], 10.0)


def backbones(kind):
    torch.manual_seed(0)
    if kind == 'ViT':
        space = dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2)
        build = lambda: ElasticViT(space, img_size=32, head_dim=8, out_type='featmap')  # noqa: E731
    else:
        space = [dict(embed_dim=32 << i, depth=1, num_heads=1 + i, mlp_ratio=1) for i in range(2)]
        build = lambda: ElasticSwin(space, window_size=2, out_indices=(1,))  # noqa: E731
    base, ours = build().eval(), build().eval()
    ours.load_state_dict(base.state_dict())
    for layer in list(linear_layers(ours).values())[4:]:
        layer.weight.data += 0.05 * torch.randn(layer.weight.shape)
    return base, ours


@pytest.mark.parametrize('kind', ['ViT', 'Swin'])
def test_differences_are_those_of_the_layers_inputs(kind):
    base, ours = backbones(kind)
    batches = [torch.randn(2, 3, 32, 32) for _ in range(2)]
    found = block_differences(base, ours, batches)
    assert len(found) == 2
    # The first block is the base's own, the second is not.
    assert not found[0].any() and found[1].max() > 0
    assert all((each.diff() >= 0).all() for each in found)
    inputs = [{}, {}]
    for model, into in zip((base, ours), inputs):
        for name, layer in linear_layers(model).items():
            layer.register_forward_hook(
                lambda _, args, out, n=name, into=into: into.setdefault(n, []).append(args[0])
            )
        for images in batches:
            with torch.no_grad():
                model(images)
    names = list(inputs[0])[4:]
    squares = [
        ((a - b) ** 2).sum(-1).flatten() / a.shape[-1]
        for name in names
        for a, b in zip(inputs[0][name], inputs[1][name])
    ]
    expected = torch.cat(squares).sqrt().sort().values
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-6)
