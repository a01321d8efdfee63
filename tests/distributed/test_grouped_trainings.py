"""Tasks on the same images, from their configs, in several processes."""

import copy

import pytest
import torch
import torch.distributed as dist
from distributed.processes import run_processes
from distributed.trainings import largest_difference, trained
from image_group import joint_config, loaders, scopes, write_images, write_list

from mdl_nas_mm.tasks import Split, build_group_eval_loader

pytestmark = pytest.mark.distributed


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'), count=7)


def test_any_number_of_processes_ends_at_the_same_weights(root, tmp_path):
    cfg = joint_config(root)
    cfg.val_cfg = None
    cfg.train_cfg.max_iters = 3
    cfg.default_hooks.checkpoint.update(interval=3)
    for task in cfg.tasks.values():
        task.model.decode_head.dropout_ratio = 0.0
    ends = [trained(size, copy.deepcopy(cfg), tmp_path / str(size)) for size in (0, 2, 3)]
    for end in ends[1:]:
        assert largest_difference(end['state_dict'], ends[0]['state_dict']) < 1e-5


def evaluate(configs, path):
    """Writes which images of which task a process has."""
    dist.init_process_group('gloo')
    splits = {task: Split(config, dict(type='IoUMetric')) for task, config in configs.items()}
    loader = build_group_eval_loader('scene', scopes(configs), splits, dist.group.WORLD)
    found = {task: [] for task in configs}
    for batch in loader:
        for task, own in batch.batches.items():
            found[task] += [sample.img_path for sample in own['data_samples']] if own else []
    counts = {task: loader.dataset.labelled(task) for task in configs}
    torch.save((found, counts), f'{path}.{dist.get_rank()}')


def test_an_evaluation_has_each_image_once(root, tmp_path):
    write_list(root, 'few', (1, 2, 4))
    configs = loaders(root, 'seg', 'parts', moves=())
    configs['parts']['dataset']['ann_file'] = 'few.txt'
    run_processes(2, evaluate, configs, tmp_path / 'found', folder=tmp_path / 'logs')
    of_ranks = [torch.load(f'{tmp_path}/found.{rank}') for rank in range(2)]
    for task, images in dict(seg=range(7), parts=(1, 2, 4)).items():
        files = [path for found, counts in of_ranks for path in found[task]]
        assert sorted(files) == [f'{root}/images/{i}.png' for i in images]
        assert {counts[task] for _, counts in of_ranks} == {len(images)}
