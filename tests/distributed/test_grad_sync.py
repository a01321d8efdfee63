"""The reducer against sums that are made in one place."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from distributed.processes import run_processes
from mmengine.device import get_device
from torch import nn

from mdl_nas_mm.engine.grad_sync import GradientReducer
from mdl_nas_mm.engine.launch import start_processes

pytestmark = pytest.mark.distributed
SIZES = [(3, 4), (5,), (2, 2), (7,), (4, 3)]


def parameters(seed):
    generator, device = torch.Generator().manual_seed(seed), get_device()
    return [nn.Parameter(torch.randn(size, generator=generator).to(device)) for size in SIZES]


def loss(shared, own, rank, world_size):
    """Some parameters are used by some ranks only; the last shared one by none."""
    used = [p for i, p in enumerate(shared[:-1]) if i == 0 or i % world_size == rank % world_size]
    return sum((rank + 1) * p.sum() for p in used) + sum((p * (rank + 2)).sum() for p in own)


def check_sums(bucket_bytes, serial):
    start_processes('pytorch', timedelta(seconds=60))
    rank, world_size = dist.get_rank(), dist.get_world_size()
    pair = [rank // 2 * 2, rank // 2 * 2 + 1]
    groups = [dist.new_group([i, i + 1]) for i in range(0, world_size, 2)]
    shared, own = parameters(0), parameters(1 + rank // 2)
    sets = [(shared, dist.group.WORLD), (own, groups[rank // 2])]
    reducer = GradientReducer(sets, bucket_bytes, serial)
    for _ in range(2):
        for parameter in (*shared, *own):
            parameter.grad = None
        # Two passes; only the last one is wrapped, and sends what both gave.
        loss(shared, own, rank, world_size).backward()
        with reducer.last_backward():
            loss(shared, own, rank, world_size).backward()
        for i, parameter in enumerate(shared):
            ranks = [r for r in range(world_size) if i == 0 or i % world_size == r % world_size]
            if i == len(shared) - 1:
                assert parameter.grad is None
            elif ranks:
                expected = 2.0 * sum(r + 1 for r in ranks)
                assert torch.equal(parameter.grad, torch.full_like(parameter, expected)), i
        for parameter in own:
            expected = 2.0 * sum(r + 2 for r in pair)
            assert torch.equal(parameter.grad, torch.full_like(parameter, expected))


@pytest.mark.parametrize('bucket_bytes', [1, 60, 10**6])
@pytest.mark.parametrize('serial', [False, True])
def test_gradients_are_summed_over_the_ranks_of_their_set(tmp_path, bucket_bytes, serial):
    run_processes(4, check_sums, bucket_bytes, serial, folder=tmp_path)


def check_bytes():
    """Counts the elements that all-reduces are given in one step of two passes."""
    start_processes('pytorch', timedelta(seconds=60))
    sent, original = [], dist.all_reduce

    def counting(tensor, *args, **kwargs):
        sent.append(tensor.numel())
        return original(tensor, *args, **kwargs)

    shared = parameters(0)
    reducer = GradientReducer([(shared, dist.group.WORLD)], bucket_bytes=60)
    dist.all_reduce = counting
    for last in (False, True):
        total = sum(p.square().sum() for p in shared)
        if last:
            with reducer.last_backward():
                total.backward()
        else:
            total.backward()
    # Each gradient once, and one more number a parameter.
    assert sum(sent) == sum(p.numel() + 1 for p in shared)
    assert len(sent) > 1


def test_each_gradient_is_sent_once_a_step(tmp_path):
    run_processes(2, check_bytes, folder=tmp_path)


def check_untouched(bucket_bytes):
    """The last pass touches some parameters only; those of the first are sent at its beginning."""
    start_processes('pytorch', timedelta(seconds=60))
    rank, shared = dist.get_rank(), parameters(0)
    reducer = GradientReducer([(shared, dist.group.WORLD)], bucket_bytes)
    for last in (shared[:2], shared[3:], shared[1:2]):
        for parameter in shared:
            parameter.grad = None
        others = [p for p in shared if all(p is not other for other in last)]
        sum((rank + 1) * p.sum() for p in others).backward()
        with reducer.last_backward(untouched=others):
            sent = [
                p
                for buckets in reducer.sets
                for b in buckets
                if b.flat is not None
                for p in b.parameters
            ]
            # In their order: not those behind a bucket that has to wait.
            assert all(any(p is other for other in others) for p in sent)
            assert bool(sent) == (bucket_bytes == 1 and any(shared[-1] is p for p in others))
            sum((rank + 1) * p.sum() for p in last).backward()
        for parameter in shared:
            assert torch.equal(parameter.grad, torch.full_like(parameter, 3.0))


@pytest.mark.parametrize('bucket_bytes', [1, 10**6])
def test_what_the_last_pass_does_not_touch_is_sent_before(tmp_path, bucket_bytes):
    run_processes(2, check_untouched, bucket_bytes, folder=tmp_path)
