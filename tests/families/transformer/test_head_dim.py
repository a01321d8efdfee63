"""The width of a head, given or derived."""

import pytest
from refusals import raises_naming

from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.families.transformer.dimensions import hidden_features

VIT = dict(embed_dim=(48, 96), depth=1, num_heads=(2, 4), mlp_ratio=2)
SWIN = [dict(embed_dim=24 << i, depth=1, num_heads=2 << i, mlp_ratio=2) for i in range(4)]


def test_given_none_it_is_the_widest_embedding_over_the_most_heads():
    assert ElasticViT(VIT, head_dim=None).shape.head_dim == 24
    assert ElasticSwin(SWIN, head_dim=None).shape.head_dim == 12
    assert ElasticViT('deit-t', head_dim=None).shape.head_dim == 64


def test_of_blocks_with_different_heads_the_first_says_it():
    space = dict(VIT, depth=2, num_heads=[(2, 4), (3, 6)])
    assert ElasticViT(space, head_dim=None).shape.head_dim == 24


@pytest.mark.parametrize(
    ('build', 'named'),
    [
        (
            lambda: ElasticViT({**VIT, 'num_heads': 5}, head_dim=None),
            ('stage 0', '5 heads', 96, 'head_dim'),
        ),
        (
            lambda: ElasticSwin([*SWIN[:3], {**SWIN[3], 'num_heads': 7}], head_dim=None),
            ('stage 3', '7 heads', 192, 'head_dim'),
        ),
        (
            lambda: ElasticSwin([*SWIN[:3], {**SWIN[3], 'num_heads': 8}], head_dim=None),
            ([12, 24], 'head_dim'),
        ),
    ],
    ids=['ViT', 'Swin', 'stages'],
)
def test_heads_that_do_not_divide(build, named):
    with raises_naming(ValueError, *named):
        build()


def test_hidden_widths_are_rounded_down():
    assert [hidden_features(*pair) for pair in ((216, 3.5), (6, 0.6), (7, 0.5))] == [756, 3, 3]
