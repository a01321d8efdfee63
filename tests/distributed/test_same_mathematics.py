"""Any number of processes takes the steps that one process takes."""

import copy

import pytest
from distributed.trainings import (
    eventful,
    largest_difference,
    optimizer_tensors,
    trained,
    training,
)
from helpers import POLICIES, differences

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize(
    ('optimizer', 'sampler'),
    [('SGD', 'SandwichSampler'), ('AdamW', 'SandwichSampler'), ('AdamW', 'UniformSampler')],
)
def test_three_processes_are_one(data, tmp_path, optimizer, sampler):
    cfg = training(data, optimizer=optimizer)
    cfg.train_cfg.sampler = dict(type=sampler, num_random=2 if sampler == 'SandwichSampler' else 1)
    one = trained(0, cfg, tmp_path / 'one')
    three = trained(3, cfg, tmp_path / 'three')
    assert largest_difference(one['state_dict'], three['state_dict']) < 1e-5
    assert one['optimizer']['settings'].keys() == three['optimizer']['settings'].keys()
    states = [optimizer_tensors(whole) for whole in (one, three)]
    assert largest_difference(*states) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize('batches', [None, dict(cls=3, det=1, seg=2)], ids=['equal', 'unequal'])
def test_any_number_of_processes_is_one(data, tmp_path, sharing, batches):
    cfg = training(data, sharing, batches=batches, changes={'train_cfg.sampler.num_random': 1})
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    for world_size in (2, 3, 4, 6):
        many = trained(world_size, cfg, tmp_path / str(world_size))['state_dict']
        assert largest_difference(one, many) < 1e-5, world_size


@pytest.mark.slow
def test_a_checkpoint_of_any_assignment_goes_on_in_any_other(data, tmp_path):
    """3 ranks -> 1 process -> 6 ranks, two steps each, against six in one process."""
    cfg = training(data, changes={'train_cfg.max_iters': 6})
    cfg.default_hooks.checkpoint.update(interval=2)
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    folder = tmp_path / 'passed_on'
    for end, world_size in ((2, 3), (4, 0), (6, 6)):
        part = copy.deepcopy(cfg)
        part.train_cfg.max_iters = end
        part.resume = end > 2
        whole = trained(world_size, part, folder)
        assert whole['meta']['iter'] == end
    assert largest_difference(one, whole['state_dict']) < 1e-5


def test_three_processes_in_bfloat16_are_one(data, tmp_path):
    """The backbone in bfloat16, on CPUs."""
    cfg = training(data, changes={'train_cfg.max_iters': 2})
    cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    three = trained(3, cfg, tmp_path / 'three')['state_dict']
    assert largest_difference(one, three) < 5e-6
    cfg.optim_wrapper.type = 'OptimWrapper'
    in_float32 = trained(0, cfg, tmp_path / 'float32')['state_dict']
    assert largest_difference(one, in_float32) > 2e-5


@pytest.mark.slow
def test_the_same_processes_give_the_same_bits(data, tmp_path):
    """Six ranks, two of each task: at once, and interrupted."""
    cfg = training(data, changes={'train_cfg.max_iters': 4, 'backbone.drop_path_rate': 0.1})
    cfg.default_hooks.checkpoint.update(interval=2)
    whole = trained(6, cfg, tmp_path / 'whole')
    for end in (2, 4):
        cfg.train_cfg.max_iters, cfg.resume = end, end > 2
        parts = trained(6, cfg, tmp_path / 'parts')
    for key in ('state_dict', 'optimizer'):
        assert differences(parts[key], whole[key]) == []


@pytest.mark.slow
def test_averages_and_best_scores_go_on_with_other_processes(data, tmp_path, eventful_run):
    """Two steps of three ranks, then two of two, against four in one process."""
    folder = tmp_path / 'passed_on'
    for end, world_size in ((2, 3), (4, 2)):
        part = eventful(data)
        part.train_cfg.max_iters = end
        part.resume = end > 2
        passed_on = trained(world_size, part, folder)
    whole = read_checkpoint(latest_checkpoint(eventful_run(0)))
    for key in ('state_dict', 'ema_state_dict'):
        assert largest_difference(passed_on[key], whole[key]) < 1e-5, key
    best = [state['message_hub']['runtime_info'] for state in (passed_on, whole)]
    for name in ('best_score_s_score', 'best_score_cls/accuracy/top1', 'best_score_seg/mIoU'):
        assert best[0][name] == pytest.approx(best[1][name], abs=1e-6)
    names = [{path.name for path in found.glob('*.pth')} for found in (folder, eventful_run(0))]
    assert names[0] == names[1]
