"""Differences between weights: merged, counted, and looked at by rows and layers."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mdl_nas_mm.methods.computation_sharing import (
    Difference,
    SparseWeight,
    difference_between,
    merge,
)

NAMES = ['fc.weight', 'proj.weight']


def random_state(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        'fc.weight': torch.randn(5, 3, generator=generator, dtype=dtype),
        'proj.weight': torch.randn(3, 4, generator=generator, dtype=dtype),
        'norm.weight': torch.ones(3, dtype=dtype),
    }


@pytest.fixture
def base():
    return random_state(0)


@pytest.fixture
def ours(base):
    """Differs in rows 1 and 4 of one weight."""
    state = {name: value.clone() for name, value in base.items()}
    state['fc.weight'][1, 2] += 0.5
    state['fc.weight'][4, 0] -= 0.25
    state['fc.weight'][4, 1] += 1.0
    return state


def test_merge_gives_the_weights_of_the_sub_task_back(base, ours):
    difference = difference_between(base, ours, NAMES)
    merged = merge(base, difference)
    assert merged.keys() == base.keys()
    for name in ours:
        torch.testing.assert_close(merged[name], ours[name], rtol=0, atol=1e-15)
    assert merged['proj.weight'] is base['proj.weight']


def test_merge_leaves_the_base_as_it_is(base, ours):
    before = {name: value.clone() for name, value in base.items()}
    merge(base, difference_between(base, ours, NAMES))
    assert all(torch.equal(before[name], base[name]) for name in base)


def test_places_and_density(base, ours):
    difference = difference_between(base, ours, NAMES)
    each = difference.weights['fc.weight']
    assert each.indices.tolist() == [5, 12, 13]
    assert each.density == 3 / 15
    assert difference.elements == 3
    assert difference.density == 3 / 27
    assert difference.densities == {'fc.weight': 3 / 15, 'proj.weight': 0.0}


def test_rows_and_layers_that_are_the_bases(base, ours):
    difference = difference_between(base, ours, NAMES)
    assert difference.weights['fc.weight'].rows.tolist() == [False, True, False, False, True]
    assert not difference.weights['proj.weight'].rows.any()
    assert difference.zero_layers == ['proj.weight']


def test_dense_is_the_whole_difference(base, ours):
    each = difference_between(base, ours, NAMES).weights['fc.weight']
    torch.testing.assert_close(each.dense(), ours['fc.weight'] - base['fc.weight'])


def test_bytes_are_those_of_compressed_sparse_rows():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(7, 11)).astype(np.float32) * (rng.random((7, 11)) < 0.3)
    matrix = csr_matrix(whole)
    found = difference_between({'w': torch.zeros(7, 11)}, {'w': torch.from_numpy(whole)}, ['w'])
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert matrix.indices.itemsize == 4 and found.csr_bytes() == size


def test_a_bias_is_one_row():
    each = SparseWeight((6,), torch.tensor([2]), torch.tensor([1.0]))
    assert each.csr_bytes() == 4 + 4 + 2 * 4
    assert each.rows.tolist() == [False, False, True, False, False, False]


def test_nothing_differs(base):
    difference = difference_between(base, base, NAMES)
    assert difference.zero_layers == NAMES and difference.density == 0
    assert Difference({}).density == 0


@pytest.mark.parametrize('indices', [[1, 1], [2, 1], [-1, 0], [0, 6]])
def test_places_twice_or_outside_are_refused(indices):
    with pytest.raises(ValueError, match='0 to 5'):
        SparseWeight((2, 3), torch.tensor(indices), torch.zeros(2))


def test_a_base_of_another_architecture_is_refused(base, ours):
    difference = difference_between(base, ours, NAMES)
    with pytest.raises(ValueError, match=r"'fc.weight' is \(5, 2\)"):
        merge({**base, 'fc.weight': torch.zeros(5, 2)}, difference)
    with pytest.raises(ValueError, match='fc.weight'):
        merge({}, difference)
    with pytest.raises(ValueError, match=r'proj.weight'):
        difference_between(base, {**ours, 'proj.weight': torch.zeros(4, 3)}, NAMES)
