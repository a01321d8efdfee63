"""Batches depend on seed, task and position alone, and on nothing that ran before."""

import hashlib
import itertools
import json
import random

import numpy as np
import pytest
import torch
from helpers import TASKS, joint_config, plain
from mmengine.config import ConfigDict
from refusals import raises_naming

from mdl_nas_mm.tasks import (
    build_eval_loader,
    build_train_loader,
    resolve_joint_config,
    restart,
)
from mdl_nas_mm.tasks.data import EndlessOrder, PositionSeeded
from mdl_nas_mm.utils.randomness import derive_seed, seeded

FLIPS = dict(
    cls=dict(type='RandomFlip', prob=0.5),
    det=dict(type='RandomFlip', prob=0.5),
    seg=dict(type='RandomFlip', prob=0.5),
)


@pytest.fixture(scope='module')
def cfg(data):
    """Loaders whose pipelines draw at random, of an epoch that is no multiple of the batch."""
    cfg = resolve_joint_config(joint_config(data))
    for task in TASKS:
        loader = cfg.train_dataloader[task]
        loader.batch_size = 3
        loader.dataset.pipeline.insert(-1, FLIPS[task])
        loader.dataset.pipeline.insert(-1, dict(type='mmcv.RandomGrayscale', prob=0.5))
    return cfg


def take(cfg, task, count, start=0, seed=0, **settings):
    """Batches as plain values that can be compared."""
    config = ConfigDict(cfg.train_dataloader[task], **settings)
    loader = build_train_loader(task, cfg.tasks[task].scope, config, seed)
    restart(loader, task, seed, start)
    return [digest(plain(batch)) for batch in itertools.islice(iter(loader), count)]


def digest(value):
    """Nested values in which arrays of any kind are digests."""
    if isinstance(value, dict):
        return {key: digest(item) for key, item in value.items()}
    if isinstance(value, list):
        return [digest(item) for item in value]
    if isinstance(value, torch.Tensor):
        return hashlib.sha1(np.ascontiguousarray(value).tobytes()).hexdigest()
    return value


@pytest.mark.parametrize('task', TASKS)
def test_same_batches_with_any_number_of_workers(cfg, task):
    alone = take(cfg, task, 8, num_workers=0)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    assert take(cfg, task, 8, num_workers=0) == alone
    assert take(cfg, task, 8, num_workers=2, persistent_workers=True) == alone
    assert take(cfg, task, 8, seed=1) != alone


@pytest.mark.parametrize('start', [1, 5, 9])
def test_a_loader_that_starts_later_goes_on_with_the_same(cfg, start):
    """Also beyond the end of an epoch."""
    for task in TASKS:
        assert take(cfg, task, 3, start=start) == take(cfg, task, start + 3)[start:]


def test_augmentation_differs_by_epoch(cfg):
    """All positions of an image have their own draw, in each of four epochs."""
    dataset = build_train_loader('seg', 'mmseg', cfg.train_dataloader.seg, 0).dataset
    size = len(dataset)
    order = list(itertools.islice(iter(EndlessOrder(dataset, True)), 4 * size))
    versions = {}
    for index, position in order:
        versions.setdefault(index, set()).add(dataset[index, position]['inputs'].numpy().tobytes())
    assert sum(len(found) for found in versions.values()) > 2 * size


def test_an_epoch_has_each_image_once():
    dataset = PositionSeeded(list(range(7)), seed=5)
    for shuffle in (True, False):
        order = list(itertools.islice(iter(EndlessOrder(dataset, shuffle)), 21))
        assert [position for _, position in order] == list(range(21))
        epochs = [[index for index, _ in order[i : i + 7]] for i in (0, 7, 14)]
        assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
        assert (epochs[0] == list(range(7))) != shuffle
        assert (epochs[0] == epochs[1]) != shuffle


class Drawn:
    """Each item is its index and a number of each generator."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), float(torch.rand(()))


def test_a_batch_has_the_samples_that_are_asked_for_one_by_one():
    dataset, keys = PositionSeeded(Drawn(), seed=5), [(3, 0), (1, 1), (3, 2)]
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    batch = dataset.__getitems__(keys)
    assert before == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )
    assert batch == [dataset[key] for key in keys]
    assert len({numbers for sample in batch for numbers in sample[1:]}) == 9


def test_tasks_draw_their_own_orders(cfg):
    """Two tasks on the same data do not see it in step."""
    config = cfg.train_dataloader.cls
    first, second = (
        digest(plain(next(iter(build_train_loader(name, 'mmpretrain', config, 0)))))
        for name in 'ab'
    )
    assert first != second


def test_sampler_of_the_config_says_whether_to_shuffle(cfg):
    sampler = dict(type='DefaultSampler', shuffle=False)
    batches = take(cfg, 'cls', 3, sampler=sampler)
    paths = [sample['img_path'] for batch in batches for sample in batch['data_samples']]
    assert paths == sorted(paths)


def test_batches_of_one_aspect_ratio(data):
    """mmdet's batch sampler groups the endless order, from any batch on."""
    cfg = resolve_joint_config(joint_config(data))
    loader = cfg.train_dataloader.det
    loader.batch_sampler = dict(type='AspectRatioBatchSampler')
    loader.batch_size = 3
    whole = take(cfg, 'det', 6)
    assert take(cfg, 'det', 2, start=4) == whole[4:]
    assert take(cfg, 'det', 6, num_workers=2, persistent_workers=True) == whole
    built = build_train_loader('det', 'mmdet', loader, 0)
    sizes = dict(width=10, height=20), dict(width=20, height=10)
    built.dataset.get_data_info = lambda key: sizes[key[0] % 2]
    for batch in itertools.islice(iter(built.batch_sampler), 8):
        assert len(batch) == 3 and len({index % 2 for index, _ in batch}) == 1


def test_seeding_leaves_the_callers_random_states():
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded(7):
            draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])


def test_derived_seeds_are_fixed():
    """A run is resumed by another process, so nothing of this one may be in them."""
    assert derive_seed(0, 'epoch', 1) == 221630651
    assert derive_seed(1, 2) != derive_seed(12) != derive_seed('1', 2, 3)


@pytest.fixture(scope='module')
def empty(tmp_path_factory, data):
    """The data with no image in any split."""
    root = tmp_path_factory.mktemp('empty')
    for split in ('train', 'val', 'search'):
        (root / 'cls' / split / '0').mkdir(parents=True)
        (root / 'det' / 'images' / split).mkdir(parents=True)
        path = root / 'det' / 'annotations' / f'{split}.json'
        path.parent.mkdir(exist_ok=True)
        content = json.loads((data / 'det' / 'annotations' / f'{split}.json').read_text())
        path.write_text(json.dumps(dict(content, images=[], annotations=[])))
    for split in ('training', 'validation', 'search'):
        for kind in ('images', 'annotations'):
            (root / 'seg' / kind / split).mkdir(parents=True)
    return root


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('task', TASKS)
def test_split_without_images_is_named(empty, task, serialize):
    cfg = resolve_joint_config(joint_config(empty))
    scope = cfg.tasks[task].scope
    splits = dict(
        cls=("'train'", "'val'", "'search'"),
        det=("'annotations/train.json'", "'annotations/val.json'", "'annotations/search.json'"),
        seg=('images/training', 'images/validation', 'images/search'),
    )[task]
    loaders = [cfg[f'{split}_dataloader'][task] for split in ('train', 'val', 'search')]
    for loader in loaders:
        loader.dataset.serialize_data = serialize
    for loader, split in zip(loaders, splits, strict=True):
        with raises_naming(ValueError, f"'{task}'", 'images', split, empty):
            if loader is loaders[0]:
                build_train_loader(task, scope, loader, seed=0)
            else:
                build_eval_loader(task, scope, loader)


def test_other_errors_of_a_data_set_pass(data):
    cfg = resolve_joint_config(joint_config(data))
    cfg.train_dataloader.cls.dataset.classes = 7
    with pytest.raises(ValueError, match='Unsupported type'):
        build_train_loader('cls', 'mmpretrain', cfg.train_dataloader.cls, seed=0)
