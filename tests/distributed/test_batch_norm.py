"""Batch norm over the ranks of a task."""

import pytest
import torch
from distributed.trainings import largest_difference, trained, training
from helpers import only

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.gpu,
    pytest.mark.skipif(
        torch.cuda.device_count() < 2, reason='SyncBN runs on GPUs only, and one for each rank'
    ),
]


def test_two_ranks_normalise_over_their_whole_batch(data, tmp_path):
    """As one process does that has it alone."""
    cfg = only(training(data, batches=dict(seg=1)), 'seg')
    cfg.tasks.seg.train_dataloader.batch_size = 4
    cfg.tasks.seg.model.decode_head.update(norm_cfg=dict(type='SyncBN'), dropout_ratio=0)
    one = trained(0, cfg, tmp_path / 'one', gpus=True)['state_dict']
    two = trained(2, cfg, tmp_path / 'two', gpus=True)['state_dict']
    assert largest_difference(one, two) < 1e-4
