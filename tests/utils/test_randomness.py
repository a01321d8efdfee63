"""A block with a seed: every generator has it, and its own state again afterwards."""

import random

import numpy as np
import pytest
import torch

from mdl_nas_mm.utils.randomness import seeded


def draws(device='cpu'):
    return random.random(), np.random.rand(), torch.rand(3, device=device).tolist()


def test_a_block_draws_the_same_and_leaves_no_trace():
    expected = draws()
    before = random.getstate(), torch.get_rng_state()
    with seeded(3):
        inside = draws()
        with seeded(4):
            assert draws() != inside
        draws()
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
    with pytest.raises(KeyError), seeded(3):
        assert draws() == inside
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before[1])
    assert expected != inside


def test_seeds_are_those_of_the_libraries():
    with seeded(5):
        inside = draws()
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)
        assert draws() == inside


def test_all_devices_of_cuda_where_it_is_in_use(monkeypatch):
    """Their generators stand in here; a test on a GPU has real ones."""
    devices = (torch.Generator(), torch.Generator())
    states = [device.get_state() for device in devices]
    monkeypatch.setattr(torch.cuda, 'default_generators', devices)
    for in_use in (True, False):
        monkeypatch.setattr(torch.cuda, 'is_initialized', lambda in_use=in_use: in_use)
        with seeded(7):
            assert [device.initial_seed() == 7 for device in devices] == [in_use] * 2
            torch.rand(2, generator=devices[1])
        assert in_use == all(torch.equal(d.get_state(), s) for d, s in zip(devices, states))


def test_apples_devices(monkeypatch):
    generator = torch.Generator()
    before = generator.get_state()
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: True)
    monkeypatch.setattr(torch.mps, 'get_rng_state', generator.get_state)
    monkeypatch.setattr(torch.mps, 'set_rng_state', generator.set_state)
    monkeypatch.setattr(torch.mps, 'manual_seed', generator.manual_seed)
    with seeded(7):
        assert generator.initial_seed() == 7
    assert torch.equal(generator.get_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_on_a_gpu():
    draws('cuda')
    before = torch.cuda.get_rng_state_all()
    with seeded(3):
        inside = draws('cuda')
    assert all(map(torch.equal, torch.cuda.get_rng_state_all(), before))
    with seeded(3):
        assert draws('cuda') == inside
        torch.cuda.manual_seed_all(3)
        assert draws('cuda')[2] == inside[2]
