"""What holds over gloo holds over NCCL, with a GPU for each process."""

import copy

import pytest
import torch
from distributed.processes import run_processes
from distributed.test_grad_sync import check_bytes, check_sums
from distributed.trainings import eventful, largest_difference, trained, training
from helpers import POLICIES

GPUS = torch.cuda.device_count()
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not GPUS, reason='there is no CUDA device, and so no NCCL'),
]


def needs(count):
    return pytest.param(
        count, marks=pytest.mark.skipif(GPUS < count, reason=f'{GPUS} of {count} CUDA devices')
    )


SIZES = [needs(count) for count in (1, 2, 3, 4, 6)]


def test_gradients_are_summed_over_the_ranks_of_their_set(tmp_path):
    if GPUS < 4:
        pytest.skip(f'{GPUS} of 4 CUDA devices')
    for bucket_bytes in (1, 60, 10**6):
        folder = tmp_path / str(bucket_bytes)
        run_processes(4, check_sums, bucket_bytes, True, folder=folder, gpus=True)
    run_processes(2, check_bytes, folder=tmp_path / 'bytes', gpus=True)


@pytest.mark.parametrize('world_size', SIZES)
@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize('batches', [None, dict(cls=3, det=1, seg=2)], ids=['equal', 'unequal'])
def test_any_number_of_processes_is_one(data, tmp_path, sharing, batches, world_size):
    cfg = training(data, sharing, batches=batches, changes={'train_cfg.sampler.num_random': 1})
    one = trained(0, cfg, tmp_path / 'one', gpus=True)['state_dict']
    many = trained(world_size, cfg, tmp_path / 'many', gpus=True)['state_dict']
    # Convolutions of cuDNN do not add up in one order.
    assert largest_difference(one, many) < 1e-4


@pytest.mark.parametrize('world_size', SIZES)
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_mixed_precision(data, tmp_path, world_size, dtype):
    cfg = training(data, changes={'train_cfg.max_iters': 2})
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=dtype)
    one = trained(0, cfg, tmp_path / 'one', gpus=True)
    many = trained(world_size, cfg, tmp_path / 'many', gpus=True)
    assert largest_difference(one['state_dict'], many['state_dict']) < 5e-3
    scales = [whole['optimizer']['loss_scaler'].get('scale') for whole in (one, many)]
    assert scales[0] == scales[1]


@pytest.mark.parametrize('world_size', SIZES)
def test_all_that_stands_beside_the_steps(data, tmp_path, world_size):
    """Clipping, SyncBN, EMA, activation checkpointing, validation; interrupted half-way."""
    whole = trained(world_size, eventful(data), tmp_path / 'whole', gpus=True)
    folder = tmp_path / 'parts'
    for end in (2, 4):
        part = copy.deepcopy(eventful(data))
        part.train_cfg.max_iters, part.resume = end, end > 2
        parts = trained(world_size, part, folder, gpus=True)
    for key in ('state_dict', 'ema_state_dict'):
        assert largest_difference(parts[key], whole[key]) < 1e-4
