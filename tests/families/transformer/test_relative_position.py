"""Relative positions that ride along in plain attention against the table of all pairs."""

import pytest
import torch
from numerics.plain_vit import pair_rows

from mdl_nas_mm.families.transformer.attention import ElasticAttention
from mdl_nas_mm.families.transformer.relative_position import token_places
from mdl_nas_mm.sharing import AllShared

EXACT = dict(rtol=1e-10, atol=1e-10)
HEADS, HEAD_DIM = 3, 5
CPU = torch.device('cpu')
cases = pytest.mark.parametrize(
    ('grid', 'limit'),
    [
        ((1, 1), 2),
        ((1, 7), 2),
        ((7, 1), 2),
        ((3, 5), 2),
        ((6, 4), 2),
        ((6, 4), 1),
        ((4, 6), 14),
        ((17, 3), 14),
        # Wide enough that nothing fills up behind the rows and columns.
        ((3, 3), 14),
        ((4, 4), 14),
    ],
)
class_tokens = pytest.mark.parametrize(
    'class_token', [True, False], ids=['class token', 'no class token']
)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def build(limit):
    layer = ElasticAttention(
        7,
        HEADS,
        HEAD_DIM,
        policy=AllShared(),
        tasks=(),
        max_relative_position=limit,
    ).double()
    with torch.no_grad():
        for i, parameter in enumerate(layer.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=i))
    return layer


def attend_by_pairs(layer, q, k, v, grid, class_token):
    """With the embedding of every pair, (N, N, head_dim)."""
    pairs = []
    for tables in (layer.rel_pos_embed_k, layer.rel_pos_embed_v):
        vertical, horizontal = pair_rows(grid, class_token, tables.max_distance)
        pairs.append(tables.embeddings_table_v[vertical] + tables.embeddings_table_h[horizontal])
    logits = q @ k.transpose(2, 3) + torch.einsum('bhid,ijd->bhij', q, pairs[0])
    attention = (logits * HEAD_DIM**-0.5).softmax(dim=-1)
    return attention @ v + torch.einsum('bhij,ijd->bhid', attention, pairs[1])


@cases
@class_tokens
def test_attention_with_relative_positions(grid, limit, class_token):
    """Values, and gradients of q, k and v and of all four tables."""
    layer, tokens = build(limit), grid[0] * grid[1] + class_token
    qkv = [draw(2, HEADS, tokens, HEAD_DIM, seed=i).requires_grad_() for i in range(3)]
    fast = layer._with_positions(*qkv, grid)
    direct = attend_by_pairs(layer, *qkv, grid, class_token)
    torch.testing.assert_close(fast, direct, **EXACT)
    upstream = draw(*direct.shape, seed=9)
    tables = [p for name, p in layer.named_parameters() if 'rel_pos' in name]
    assert len(tables) == 4
    gradients = torch.autograd.grad(fast, [*qkv, *tables], upstream)
    expected = torch.autograd.grad(direct, [*qkv, *tables], upstream)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_places_by_example():
    """Two rows of three patches behind a class token, distances told apart up to one."""
    rows, places = token_places((2, 3), True, 1, CPU)
    # Table row 0: the class token; 1, 2, 3: the place is before, level with or behind the query.
    vertical = [[0, 0, 0], [2, 3, 0], [2, 3, 0], [2, 3, 0], [1, 2, 0], [1, 2, 0], [1, 2, 0]]
    horizontal = [[0, 0, 0, 0]] + 2 * [[2, 3, 3, 0], [1, 2, 3, 0], [1, 1, 2, 0]]
    assert rows[:, :3].tolist() == vertical
    assert (rows[:, 3:7] - 4).tolist() == horizontal
    ones = [[2, 6], [0, 3], [0, 4], [0, 5], [1, 3], [1, 4], [1, 5]]
    assert [row.nonzero().flatten().tolist() for row in places] == ones
    assert places.sum() == 14 and rows.shape == places.shape == (7, 8)


def test_places_are_the_same_object_for_the_same_sizes():
    first = token_places((2, 3), False, 2, CPU)
    assert token_places((2, 3), False, 2, CPU) is first
    others = [((3, 2), False, 2), ((2, 3), True, 2), ((2, 3), False, 1)]
    assert all(token_places(*sizes, CPU) is not first for sizes in others)
