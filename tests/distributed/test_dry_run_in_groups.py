"""With several processes each one tries its own tasks before the first step, by itself."""

import copy

import pytest
from distributed.test_refusals import last_lines
from distributed.trainings import eventful, trained, training
from helpers import differences
from refusals import assert_names

pytestmark = pytest.mark.distributed
DRY = {'train_cfg.dry_run': True}


def test_the_training_is_the_same_to_the_bit(data, tmp_path):
    """Four ranks: the first two have halves of a batch each, and metrics of both together."""
    cfg = eventful(data)
    cfg.groups = dict(cls=1, det=1, seg=1)
    cfg.train_cfg.update(max_iters=2, val_interval=1)
    cfg.tasks.seg.model.decode_head.dropout_ratio = 0.5
    plain = trained(4, cfg, tmp_path / 'plain')
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.dry_run = True
    dry = trained(4, cfg, tmp_path / 'dry')
    assert not differences(dry['state_dict'], plain['state_dict'])
    assert not differences(dry['optimizer'], plain['optimizer'])
    (log,) = (tmp_path / 'dry').rglob('*.log')
    assert log.read_text().count('dry run: ') == 1


def ends(data, folder, changes):
    """What three ranks say last, each with a task; none has taken a step."""
    cfg = training(data, changes=DRY)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.merge_from_dict(changes)
    lines = last_lines(3, cfg, folder)
    assert not list((folder / 'work').rglob('*.pth'))
    return lines


def test_a_head_that_does_not_fit_on_the_last_rank(data, tmp_path):
    changes = {'tasks.seg.model.decode_head.in_channels': [7, 7]}
    first, second, message = ends(data, tmp_path, changes)
    assert_names(message, 'error: ', "task 'seg'", 'in_channels')
    assert (first, second) == (f'{message} (rank 2)', '1')


def test_a_metric_that_is_not_there_on_the_first_rank(data, tmp_path):
    message, *_ = ends(data, tmp_path, {'tasks.cls.score': 'accuracy/top3'})
    assert_names(message, 'error: ', "task 'cls'", "'accuracy/top3'", 'accuracy/top1')
