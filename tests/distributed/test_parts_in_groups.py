"""A pyramid that two of three tasks share, in one process and in several."""

import pytest
from distributed.trainings import check_three_then_two, training
from shared_pyramid import LABEL, with_shared_pyramid

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize('sharing', [None, dict(type='Mask', threshold='ratio')])
def test_any_number_of_processes_is_one(data, tmp_path, sharing):
    """Two steps of three processes, then two of two, against four in one; every step is clipped.

    Of the two processes the first has detection and nothing of segmentation.
    """
    like = training(data, batches=dict(cls=1, det=3, seg=2))
    cfg = with_shared_pyramid(data, {'train_cfg.max_iters': 4, 'val_cfg': None})
    cfg.merge_from_dict(dict(groups=like.groups, optim_wrapper=like.optim_wrapper))
    cfg.optim_wrapper.clip_grad.max_norm = 0.05
    for task in ('det', 'seg'):
        # Each process has running statistics of its own part.
        cfg.tasks[task].model.neck.norm_cfg = dict(type='GN', num_groups=2)
    if sharing is not None:
        cfg.parts.pyramid.update(sharing=sharing, share_ratio=0.6)
    many = check_three_then_two(cfg, tmp_path)
    assert f'parts.{LABEL}.neck.convs.0.0.conv.weight' in many['state_dict']
