"""A small network that learns in arrays, against automatic differentiation and torch's Adam."""

import numpy as np
import pytest
import torch
from torch import nn

from mdl_nas_mm.search.layers_training import LayersTraining


def network(inputs, outputs):
    torch.manual_seed(0)
    layers = nn.Linear(inputs, 12), nn.ReLU(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, outputs)
    return nn.Sequential(*layers)


def arrays_of(model):
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in model[::2]]


@pytest.mark.parametrize('outputs', [1, 4])
def test_it_takes_the_steps_of_torch(outputs):
    rng = np.random.default_rng(0)
    rows = rng.random((50, 9), dtype=np.float32)
    targets = rng.random((50, outputs), dtype=np.float32)
    model = network(9, outputs)
    start = arrays_of(model)
    training = LayersTraining(start, 1e-2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(5):
        # The last batch of an epoch is smaller.
        batches = np.split(rng.permutation(50), range(16, 50, 16))
        training.epoch(rows, targets, batches)
        for batch in batches:
            found = model(torch.from_numpy(rows[batch]))
            optimizer.zero_grad()
            nn.functional.l1_loss(found, torch.from_numpy(targets[batch])).backward()
            optimizer.step()
    for ours, theirs in zip(training.layers, arrays_of(model)):
        for one, other in zip(ours, theirs):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_it_is_given_stays_as_it_is():
    start = arrays_of(network(3, 2))
    before = [(weight.copy(), bias.copy()) for weight, bias in start]
    training = LayersTraining(start, 1e-2)
    rows, targets = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    training.epoch(rows, targets, [np.arange(4)])
    assert (training.layers[0][0] != before[0][0]).any()
    for ours, theirs in zip(start, before):
        assert all((one == other).all() for one, other in zip(ours, theirs))
