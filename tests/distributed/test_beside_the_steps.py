"""What a training leaves beside its weights is the same from three processes as from one."""

import json

import pytest
from distributed.trainings import largest_difference, optimizer_tensors
from helpers import TASKS

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

pytestmark = pytest.mark.distributed
SCORES = ('s_score', 'cls/accuracy/top1', 'det/coco/bbox_mAP', 'seg/mIoU')
# What depends on the machine.
TIMES = ('time', 'data_time')


def logged(folder):
    """The lines of the one file of scalars: (those of steps, those of validations)."""
    (path,) = folder.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [{key: line[key] for key in line if key not in TIMES} for line in lines]
    return [line for line in lines if 'lr' in line], [line for line in lines if 'lr' not in line]


def test_weights_moments_and_their_average_are_the_same(eventful_run):
    """With clipping in effect, dropped paths, activation checkpointing, and a weight of a loss."""
    one, three = (read_checkpoint(latest_checkpoint(eventful_run(n))) for n in (0, 3))
    assert all(line['grad_norm'] > 0.05 for line in logged(eventful_run(0))[0])
    for key in ('state_dict', 'ema_state_dict'):
        assert largest_difference(one[key], three[key]) < 1e-5, key
    # The average is not what was averaged.
    averaged = {key[7:]: value for key, value in three['ema_state_dict'].items() if key != 'steps'}
    assert largest_difference(three['state_dict'], averaged) > 1e-4
    assert largest_difference(optimizer_tensors(one), optimizer_tensors(three)) < 1e-4


def test_every_tasks_losses_are_logged_by_the_first_rank(eventful_run):
    (steps, validations), (their_steps, their_validations) = map(logged, map(eventful_run, (0, 3)))
    assert [line['iter'] for line in steps] == [1, 2, 3, 4]
    names = {'cls/loss', 'det/loss_mask', 'det/loss_rpn_cls', 'seg/decode.loss_ce', 'loss'}
    assert names <= set(steps[0]) and len(validations) == 2
    for own, theirs in zip([*steps, *validations], [*their_steps, *their_validations], strict=True):
        assert own.keys() == theirs.keys()
        for name, value in own.items():
            assert theirs[name] == pytest.approx(value, abs=1e-4, rel=1e-4, nan_ok=True), name


def test_the_assignment_is_logged_once(eventful_run):
    (log,) = eventful_run(3).glob('*/*.log')
    text = log.read_text()
    assert text.count('batches a step') == 1
    for rank, task in enumerate(TASKS):
        assert f'{task:<10}{rank:<20}2               2/6' in text


def test_the_best_of_each_score_is_kept_once_and_whole(eventful_run):
    whole = read_checkpoint(latest_checkpoint(eventful_run(0)))['state_dict']
    names = [sorted(path.name for path in eventful_run(n).glob('*.pth')) for n in (0, 3)]
    assert names[0] == names[1]
    best = [name for name in names[1] if name.startswith('best_')]
    expected = [f'best_{score}_iter_'.replace('/', '_') for score in SCORES]
    assert sorted(name.rpartition('_')[0] + '_' for name in best) == sorted(expected)
    assert set(names[1]) - set(best) == {'iter_3.pth', 'iter_4.pth'}
    for name in names[1]:
        assert read_checkpoint(eventful_run(3) / name)['state_dict'].keys() == whole.keys()
    assert not list(eventful_run(3).glob('.*'))
