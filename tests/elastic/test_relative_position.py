"""The fast form of 2-D relative positions against the table of all pairs of tokens."""

import pytest
import torch
from numerics.plain_vit import pair_rows

from mdl_nas_mm.elastic.relative_position import RelativePosition2D

EXACT = dict(rtol=1e-10, atol=1e-10)
HEAD_DIM = 5
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
    ],
)
class_tokens = pytest.mark.parametrize(
    'class_token', [True, False], ids=['class token', 'no class token']
)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def build(limit):
    layer = RelativePosition2D(HEAD_DIM, limit).double()
    with torch.no_grad():
        for i, table in enumerate(layer.parameters()):
            table.copy_(draw(*table.shape, seed=i))
    return layer


def pairs(layer, grid, class_token):
    """The embedding of every pair (N, N, head_dim)."""
    vertical, horizontal = pair_rows(grid, class_token, layer.max_distance)
    return layer.embeddings_table_v[vertical] + layer.embeddings_table_h[horizontal]


def check(layer, fast, direct, x):
    """Values, and gradients of the input and of both tables."""
    torch.testing.assert_close(fast, direct, **EXACT)
    upstream = draw(*direct.shape, seed=9)
    inputs = [x, *layer.parameters()]
    gradients = torch.autograd.grad(fast, inputs, upstream)
    expected = torch.autograd.grad(direct, inputs, upstream)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@cases
@class_tokens
def test_bias_of_the_keys(grid, limit, class_token):
    layer, tokens = build(limit), grid[0] * grid[1] + class_token
    q = draw(2, 3, tokens, HEAD_DIM, seed=7).requires_grad_()
    direct = torch.einsum('bhid,ijd->bhij', q, pairs(layer, grid, class_token))
    check(layer, layer.bias(q, grid, class_token), direct, q)


@cases
@class_tokens
def test_weighted_sum_of_the_values(grid, limit, class_token):
    layer, tokens = build(limit), grid[0] * grid[1] + class_token
    attention = draw(2, 3, tokens, tokens, seed=7).requires_grad_()
    direct = torch.einsum('bhij,ijd->bhid', attention, pairs(layer, grid, class_token))
    check(layer, layer.weighted_sum(attention, grid, class_token), direct, attention)


def test_rows_by_example():
    """Two rows of three patches behind a class token, distances told apart up to one."""
    layer = build(1)
    rows, columns = layer._table_rows((2, 3), True, torch.device('cpu'))
    # Table row 0: the class token; 1, 2, 3: the key is before, level with or behind the query.
    assert rows.tolist() == [[0, 0], [2, 3], [2, 3], [2, 3], [1, 2], [1, 2], [1, 2]]
    assert columns.tolist() == [[0, 0, 0]] + 2 * [[2, 3, 3], [1, 2, 3], [1, 1, 2]]
