"""A weight that two of three tasks own, in one process and in several."""

import partly_owned  # noqa: F401
import pytest
import torch
from distributed.trainings import check_three_then_two, training

pytestmark = pytest.mark.distributed


def test_some_owners_in_any_number_of_processes_are_one(data, tmp_path):
    """Two steps of three processes, then two of two, against four in one; every step is clipped."""
    changes = {
        'backbone.type': 'PartlyOwnedViT',
        'train_cfg.max_iters': 4,
        'optim_wrapper.clip_grad.max_norm': 0.05,
    }
    cfg = training(data, 'Mask', batches=dict(cls=2, det=1, seg=3), changes=changes)
    many = check_three_then_two(cfg, tmp_path)
    name = 'backbone.blocks.0.mlp.fc1.specific.{}.weight'
    both, other = (many['state_dict'][name.format(label)] for label in ('cls+seg', 'det'))
    assert not torch.equal(both, other)
    assert not any('.fc1.specific.cls.' in key for key in many['state_dict'] if 'blocks.0' in key)
