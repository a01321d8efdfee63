"""An image group's data: each image once, every label through the same transforms."""

from itertools import islice

import image_group
import mmcv
import numpy as np
import pytest
import torch
from helpers import differences, plain
from image_group import CountedLoad, loaders, pipeline, scopes, write_images, write_list
from refusals import raises_naming

from mdl_nas_mm.engine.joint_loader import JointLoader
from mdl_nas_mm.tasks import (
    Split,
    build_eval_loader,
    build_group_eval_loader,
    build_group_train_loader,
    build_train_loader,
    restart,
)

RESIZE = dict(type='mmseg.Resize', scale=(24, 24), interpolation='nearest')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def train_loader(configs, **kwargs):
    return build_group_train_loader('scene', scopes(configs), configs, seed=0, **kwargs)


def first(loader, count=3):
    return list(islice(iter(loader), count))


def labels(batch, task, key):
    return [getattr(sample, key).data[0] for sample in batch.batches[task]['data_samples']]


def test_labels_move_with_the_image(root):
    moves = [RESIZE, *image_group.CROP]
    for batch in first(train_loader(loaders(root, 'seg', 'depth', 'parts', 'cls', moves=moves)), 6):
        images = batch.batches['seg']['inputs']
        assert [tuple(image.shape) for image in images] == [(3, 12, 12)] * batch.images
        for task, key, channel, factor in (
            ('seg', 'gt_sem_seg', 0, 1),
            ('depth', 'gt_depth_map', 1, 1),
            ('parts', 'gt_sem_seg', 2, 1),
        ):
            for image, label in zip(images, labels(batch, task, key)):
                assert torch.equal(image[channel] * factor, label.to(torch.uint8))


def test_flips_and_crops_are_drawn_once(root):
    flips = set()
    for batch in first(train_loader(loaders(root, 'seg', 'cls')), 6):
        for seg, cls in zip(*(batch.batches[task]['data_samples'] for task in ('seg', 'cls'))):
            assert (seg.img_path, seg.flip) == (cls.img_path, cls.flip)
            flips.add(seg.flip)
    assert flips == {False, True}


def test_an_image_is_one_tensor_and_decoded_once(root):
    configs = loaders(root, 'seg', 'depth', 'cls')
    for task, config in configs.items():
        config['dataset']['pipeline'] = pipeline(task, load='CountedLoad')
    loader = train_loader(configs)
    CountedLoad.decoded.clear()
    batches = first(loader)
    assert len(CountedLoad.decoded) == sum(batch.images for batch in batches)
    for batch in batches:
        images = [batch.batches[task]['inputs'] for task in configs]
        assert all(a is b is c for a, b, c in zip(*images, strict=True))


def test_an_image_is_one_tensor_out_of_workers_too(root):
    alone = first(train_loader(loaders(root, 'seg', 'depth')))
    with_workers = first(train_loader(loaders(root, 'seg', 'depth', num_workers=2)))
    for batch, other in zip(alone, with_workers):
        assert differences(plain(dict(batch.batches)), plain(dict(other.batches))) == []
        pairs = zip(other.batches['seg']['inputs'], other.batches['depth']['inputs'])
        assert all(a is b for a, b in pairs)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_file_that_cannot_be_read_is_named_with_its_task(tmp_path, workers):
    root = write_images(tmp_path)
    configs = loaders(root, 'seg', 'parts', num_workers=workers)
    loader = JointLoader(dict(scene=train_loader(configs)), 3, groups=['scene'])
    for path in (root / 'parts').iterdir():
        path.write_bytes(b'')
    names = ('scene', 'iteration 0', root / 'images', root / 'parts', "'parts'", 'LoadAnnotations')
    with raises_naming(ValueError, *names):
        next(iter(loader))


def test_without_augmentation_a_task_has_what_its_own_loader_gives(root):
    configs = loaders(root, 'seg', 'depth', 'parts', 'cls', moves=[RESIZE])
    in_order = dict(type='DefaultSampler', shuffle=False)
    configs = {task: dict(config, sampler=in_order) for task, config in configs.items()}
    for task, config in configs.items():
        own = build_train_loader(task, image_group.SCOPES[task], config, seed=0)
        for batch, expected in zip(first(train_loader(configs)), first(own)):
            assert batch.places[task] == tuple(range(batch.images))
            assert differences(plain(batch.batches[task]), plain(expected)) == []


def test_images_without_a_label_are_left_out_of_the_task_alone(root):
    write_list(root, 'some', (4, 1))
    configs = loaders(root, 'seg', 'parts')
    configs['parts']['dataset'].update(ann_file='some.txt')
    loader = train_loader(configs)
    numbers = []
    for batch in first(loader):
        seg, parts = batch.batches['seg'], batch.batches['parts']
        files = [sample.img_path for sample in seg['data_samples']]
        has = [i for i, path in enumerate(files) if path.endswith(('4.png', '1.png'))]
        assert batch.places == dict(seg=tuple(range(batch.images)), parts=tuple(has))
        if has:
            assert [sample.img_path for sample in parts['data_samples']] == [files[i] for i in has]
            assert all(a is seg['inputs'][i] for a, i in zip(parts['inputs'], has))
        else:
            assert parts is None
        numbers.append(len(has))
    # Two passes over the six images.
    assert sum(numbers) == 4


def test_images_of_later_tasks_alone_are_there_too(root):
    write_list(root, 'first', (3, 2))
    configs = loaders(root, 'seg', 'parts', sampler=dict(type='DefaultSampler', shuffle=False))
    configs['seg']['dataset'].update(ann_file='first.txt')
    (batch,) = first(train_loader(configs), 1)
    files = [sample.img_path[-5] for sample in batch.batches['parts']['data_samples']]
    assert files == ['3', '2', '0', '1']
    assert batch.places == dict(seg=(0, 1), parts=(0, 1, 2, 3))


def test_a_later_start_gives_what_would_have_come(root):
    configs = loaders(root, 'seg', 'depth')
    later = train_loader(configs)
    restart(later, 'scene', seed=0, start=2)
    for batch, expected in zip(first(later, 2), first(train_loader(configs), 4)[2:], strict=True):
        assert differences(plain(dict(batch.batches)), plain(dict(expected.batches))) == []


def test_parts_of_a_batch_are_its_images(root):
    configs = loaders(root, 'seg', 'depth')
    (whole,) = first(train_loader(configs), 1)
    halves = [first(train_loader(configs, parts=((0, part, 2),)), 1)[0] for part in range(2)]
    images = [image for half in halves for image in half.batches['seg']['inputs']]
    assert all(map(torch.equal, images, whole.batches['seg']['inputs']))


def test_parts_of_a_concatenation_are_joined(root):
    write_list(root, 'low', (0, 1, 2))
    write_list(root, 'high', (3, 4, 5))
    configs = loaders(root, 'seg', 'depth')
    parts = [dict(configs['seg']['dataset'], ann_file=f'{name}.txt') for name in ('low', 'high')]
    configs['seg']['dataset'] = dict(type='ConcatDataset', datasets=parts)
    joined, expected = train_loader(configs), train_loader(loaders(root, 'seg', 'depth'))
    for batch, other in zip(first(joined), first(expected)):
        assert differences(plain(dict(batch.batches)), plain(dict(other.batches))) == []


def test_objects_and_a_map_move_together(root):
    moves = [dict(type='mmdet.Resize', scale=(32, 32)), dict(type='mmdet.RandomFlip', prob=0.5)]
    configs = loaders(root, 'det', 'seg', moves=moves)
    boxes = set()
    for batch in first(train_loader(configs), 6):
        samples = zip(*(batch.batches[task]['data_samples'] for task in configs))
        for (det, seg), image in zip(samples, batch.batches['det']['inputs']):
            # The map is moved by nearest neighbours: each second pixel is one of the file.
            loaded = np.repeat(np.repeat(_file(seg.seg_map_path), 2, 0), 2, 1)
            expected = loaded[:, ::-1] if seg.flip else loaded
            assert np.array_equal(seg.gt_sem_seg.data[0], expected)
            boxes.add((det.flip, *det.gt_instances.bboxes.tensor[0].tolist()))
            assert image.shape == (3, 32, 32)
    assert boxes == {(False, 4.0, 6.0, 16.0, 22.0), (True, 16.0, 6.0, 28.0, 22.0)}


def _file(path):
    return mmcv.imread(path, 'unchanged', backend='pillow')


def eval_splits(root, *tasks):
    configs = loaders(root, *tasks)
    for task, config in configs.items():
        load, *label, pack = pipeline(task, moves=())
        config['dataset'].update(pipeline=[load, RESIZE, *label, pack], test_mode=True)
        config['sampler'] = dict(type='DefaultSampler', shuffle=False)
    return {task: Split(c, image_group.EVALUATORS[task]) for task, c in configs.items()}


def test_evaluation_has_each_image_once_and_labels_of_their_own_size(root):
    splits = eval_splits(root, 'seg', 'depth', 'cls')
    splits['seg'].dataloader['dataset']['ann_file'] = 'some.txt'
    write_list(root, 'some', (4, 1))
    loader = build_group_eval_loader('scene', scopes(splits), splits)
    batches = list(loader)
    for task, split in splits.items():
        own = list(build_eval_loader(task, image_group.SCOPES[task], split.dataloader))
        samples = [s for b in batches if b.batches[task] for s in b.batches[task]['data_samples']]
        expected = [sample for batch in own for sample in batch['data_samples']]
        by_file = lambda sample: sample.img_path  # noqa: E731
        samples.sort(key=by_file), expected.sort(key=by_file)
        assert differences(plain(samples), plain(expected)) == []
        assert loader.dataset.labelled(task) == len(expected)
        assert 'classes' in loader.dataset.datasets[task].metainfo
    shapes = {tuple(image.shape) for batch in batches for image in batch.batches['cls']['inputs']}
    assert shapes == {(3, 24, 24)}
    assert batches[0].batches['depth']['data_samples'][0].gt_depth_map.shape == (16, 16)


def test_images_are_pinned_once_for_all_of_their_tasks(root, monkeypatch):
    """By torch's loaders, which ask what they do not know to do it itself."""
    pinned = []

    def pin(self, *_):
        pinned.append(self)
        return self.clone()

    (batch,) = first(train_loader(loaders(root, 'seg', 'cls')), 1)
    monkeypatch.setattr(torch.Tensor, 'pin_memory', pin)
    found = torch.utils.data._utils.pin_memory.pin_memory(batch)
    assert len(pinned) == batch.images and found.places == batch.places
    for task, own in found.batches.items():
        assert own['data_samples'] == batch.batches[task]['data_samples']
        for image, before in zip(own['inputs'], batch.batches[task]['inputs'], strict=True):
            assert image is not before and torch.equal(image, before)
    shared = zip(*(found.batches[task]['inputs'] for task in ('seg', 'cls')))
    assert all(one is other for one, other in shared)
