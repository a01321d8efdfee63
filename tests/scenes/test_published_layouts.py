"""Readers of published data sets, on small files of their layouts and encodings."""

import pickle

import numpy as np
import pytest
from mmengine.structures import PixelData
from refusals import raises_naming
from scenes.files import image, save, slanted
from scenes.layouts import (
    SIZE,
    part,
    struct,
    structs,
    thing,
    write_cifar100,
    write_cityscapes,
    write_mtan,
    write_pascal,
    write_taskonomy,
)
from scipy.io import savemat

from mdl_nas_mm.registry import DATASETS, MODELS
from mdl_nas_mm.scenes.encodings import binary, classes, human_parts, read_array
from mdl_nas_mm.scenes.transforms import LoadSceneImage, LoadSceneLabel


def build(kind, root, **options):
    return DATASETS.build(dict(type=f'mdl_nas_mm.{kind}', data_root=str(root)) | options)


def loaded(dataset, index=0, size=SIZE):
    """An image's labels, as the loading transform gives them."""
    return LoadSceneLabel()(dict(dataset.get_data_info(index), ori_shape=size))


# MTAN


@pytest.fixture
def mtan(tmp_path):
    write_mtan(tmp_path)
    return tmp_path


def test_mtan_nyu(mtan):
    dataset = build('MTANScenes', mtan, labels=('semseg', 'depth', 'normals'))
    found = loaded(dataset, 1)
    assert len(dataset) == 2 and len(dataset.metainfo['classes']) == 13
    expected = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 14 - 1
    np.testing.assert_array_equal(found['gt_seg_map'], np.where(expected < 0, 255, expected))
    np.testing.assert_array_equal(found['gt_depth_map'], np.full(SIZE, 3))
    assert not found['gt_normals'][0].any() and found['gt_normals'][1:].any(-1).all()
    with raises_naming(ValueError, 'MTANScenes', 'disparity'):
        build('MTANScenes', mtan, label='disparity')
    with raises_naming(FileNotFoundError, 'val'):
        build('MTANScenes', mtan, label='depth', split='val')


def test_images_that_are_arrays_become_those_of_any_pipeline(mtan):
    found = LoadSceneImage()(dict(img_path=f'{mtan}/train/image/0.npy'))
    np.testing.assert_allclose(found['img'][..., ::-1], image(*SIZE), atol=1e-3)
    assert found['ori_shape'] == SIZE
    save(mtan / 'x.npy', image(*SIZE))
    found = LoadSceneImage()(dict(img_path=f'{mtan}/x.npy'))
    np.testing.assert_array_equal(found['img'][..., ::-1], image(*SIZE))
    grey = np.full((*SIZE, 3), 0.5)
    for wrong in (image(*SIZE) * 1.0, grey - 1, grey * np.nan, image(*SIZE).astype(np.uint16)):
        save(mtan / 'y.npy', wrong)
        with raises_naming(ValueError, 'y.npy'):
            LoadSceneImage()(dict(img_path=f'{mtan}/y.npy'))


def test_mtan_cityscapes(mtan):
    for path in (mtan / 'train' / 'normal').iterdir():
        path.unlink()
    (mtan / 'train' / 'normal').rmdir()
    for n in range(2):
        save(mtan / 'train' / 'label' / f'{n}.npy', np.full(SIZE, 6.0 - 7 * n))
        save(mtan / 'train' / 'depth' / f'{n}.npy', np.full(SIZE, 0.02))
    found = loaded(build('MTANScenes', mtan, labels=('semseg', 'disparity')), 1)
    np.testing.assert_allclose(found['gt_disparity'], 0.02)
    assert (found['gt_seg_map'] == 255).all()
    assert len(build('MTANScenes', mtan, label='semseg').metainfo['classes']) == 7
    # What is a disparity cannot be asked for as a depth.
    with raises_naming(ValueError, "'depth'", 'disparity', mtan / 'train' / 'normal'):
        build('MTANScenes', mtan, label='depth')


def test_files_of_the_system_are_no_images(mtan):
    (mtan / 'train' / 'image' / '.DS_Store').write_bytes(b'')
    assert len(build('MTANScenes', mtan, label='depth')) == 2


# Cityscapes


def test_cityscapes(tmp_path):
    write_cityscapes(tmp_path)
    dataset = build('CityscapesScenes', tmp_path, labels=('semseg', 'depth'), split='val')
    found = loaded(dataset)
    assert len(dataset) == 2 and 'val/aachen' in found['img_path']
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 19
    # 20 pixels are 0.22 * 2262 / 20 metres; 0 is none, and 1 is a disparity of 0.
    depth = found['gt_depth_map']
    np.testing.assert_allclose(depth[1:], 24.882, rtol=1e-5)
    assert depth[0, 0] == depth[0, 1] == 0 and (found['gt_seg_map'][0] == 255).all()
    found = loaded(build('CityscapesScenes', tmp_path, label='disparity'))['gt_disparity']
    np.testing.assert_allclose(found[1:], 20)
    (tmp_path / 'one.txt').write_text('bonn/bonn_000001_000019\n')
    assert len(build('CityscapesScenes', tmp_path, label='depth', ann_file='one.txt')) == 1
    save(tmp_path / 'leftImg8bit' / 'val' / 'aachen' / 'thumbnail.png', image(*SIZE))
    assert len(build('CityscapesScenes', tmp_path, label='depth', split='val')) == 2
    path = 'disparity/val/aachen/aachen_000000_000019_disparity.png'
    save(tmp_path / path, np.full(SIZE, 60, np.uint8))
    for label in ('depth', 'disparity'):
        with raises_naming(ValueError, label, path, 8, 16):
            build('CityscapesScenes', tmp_path, label=label, split='val')
    for path in (tmp_path / 'gtFine' / 'train').rglob('*bonn*.png'):
        path.unlink()
    with raises_naming(FileNotFoundError, '1 files', 'labelTrainIds'):
        build('CityscapesScenes', tmp_path, label='semseg')
    with raises_naming(FileNotFoundError, 'leftImg8bit/test'):
        build('CityscapesScenes', tmp_path, label='semseg', split='test')


# PASCAL-Context


@pytest.fixture
def pascal(tmp_path):
    write_pascal(tmp_path)
    return tmp_path


def pascal_label(root, label):
    return build('PASCALContextScenes', root, label=label, ann_file='ImageSets/Parts/train.txt')


def test_pascal_parts_are_joined(pascal):
    dataset = pascal_label(pascal, 'human_parts')
    assert len(dataset) == 4 and len(dataset.metainfo['classes']) == 7
    expected = np.zeros(SIZE, dtype=int)
    expected[0:2, 0:4], expected[2:6, 0:4] = 1, 2
    expected[2:4, 4:6], expected[4:6, 4:6] = 3, 4
    expected[6:8, 0:4], expected[8:10, 0:4] = 5, 6
    for index in (0, 3):
        np.testing.assert_array_equal(loaded(dataset, index)['gt_seg_map'], expected)
    for index in (1, 2):
        assert (loaded(dataset, index)['gt_seg_map'] == 255).all()


def test_all_parts_of_a_person_are_joined_as_published(tmp_path):
    """A person of one row a part and one without, read from a file."""
    parts = {
        1: 'head hair lear rear leye reye lebrow rebrow nose mouth',
        2: 'torso neck',
        3: 'luarm ruarm',
        4: 'llarm rlarm lhand rhand',
        5: 'luleg ruleg',
        6: 'llleg rlleg lfoot rfoot',
    }
    rows = [(name, number) for number, names in parts.items() for name in names.split()]
    assert len(dict(rows)) == 24
    size = (len(rows) + 1, 4)
    each = [part(size, name, slice(i, i + 1), slice(0, 4)) for i, (name, _) in enumerate(rows)]
    annotation = struct(objects=structs(thing(size, 'person', *each)))
    savemat(tmp_path / 'a.mat', dict(anno=annotation))
    found = human_parts(read_array(str(tmp_path / 'a.mat')))
    expected = [*(number for _, number in rows), 0]
    np.testing.assert_array_equal(found, np.repeat(expected, 4).reshape(size))


def test_pascal_maps(pascal):
    dataset = pascal_label(pascal, 'semseg')
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 21
    for index, folder in enumerate(('VOC12', 'pascal-context')):
        found = loaded(dataset, index)
        assert f'semseg/{folder}/' in found['seg_map_path']
        assert (found['gt_seg_map'][:, 0] == 255).all() and (found['gt_seg_map'][:, 1:] == 20).all()
    salient = loaded(pascal_label(pascal, 'saliency'))['gt_saliency']
    assert (salient[3:6] == 1).all() and salient.sum() == 3 * SIZE[1]
    normals = loaded(pascal_label(pascal, 'normals'))['gt_normals']
    assert np.rad2deg(np.arccos((normals * slanted(*SIZE)).sum(-1).clip(-1, 1))).max() < 0.5
    edges = loaded(pascal_label(pascal, 'edges'))['gt_edges']
    # The Laplacian is two pixels wide, of which thinning leaves one, but for the end of the line.
    assert (edges[1:].sum(1) == 1).all() and set(np.flatnonzero(edges.any(0))) <= {7, 8}
    with raises_naming(ValueError, 'ann_file'):
        build('PASCALContextScenes', pascal, label='edges')


# Taskonomy


@pytest.fixture
def taskonomy(tmp_path):
    write_taskonomy(tmp_path)
    return tmp_path


def taskonomy_label(root, label, **options):
    return build('TaskonomyScenes', root, label=label, ann_file='tiny.csv', **options)


@pytest.mark.parametrize(
    'label, key, value, is_masked',
    [
        ('depth', 'gt_depth_map', 2, True),
        ('depth_euclidean', 'gt_regression', [2], True),
        ('normals', 'gt_normals', [0, 1, 0], True),
        ('curvature', 'gt_regression', [0, 1], True),
        ('reshading', 'gt_regression', [0.2], True),
        ('keypoints2d', 'gt_regression', [0.2], False),
        ('keypoints3d', 'gt_regression', [0.2], True),
        ('edges2d', 'gt_regression', [0.2], False),
        ('edges3d', 'gt_regression', [0.2], True),
        ('autoencoding', 'gt_regression', [0.2] * 3, False),
    ],
)
def test_taskonomy_maps(taskonomy, label, key, value, is_masked):
    dataset = taskonomy_label(taskonomy, label)
    assert len(dataset) == 2
    found = loaded(dataset, 1)[key]
    shown = found[:, 4:] if is_masked else found
    np.testing.assert_allclose(shown, np.broadcast_to(value, shown.shape), atol=1e-6)
    if is_masked:
        hole = found[:, :4]
        assert np.isnan(hole).all() if key == 'gt_regression' else not hole.any()


def test_taskonomy_classes_and_points(taskonomy):
    dataset = taskonomy_label(taskonomy, 'semseg')
    found = loaded(dataset)['gt_seg_map']
    assert len(dataset.metainfo['classes']) == 17
    assert (found[0] == 255).all() and (found[1] == 0).all() and (found[2:] == 16).all()
    assert (loaded(taskonomy_label(taskonomy, 'segment_unsup25d'))['gt_seg_map'][2:] == 17).all()
    objects = loaded(taskonomy_label(taskonomy, 'class_object'))
    np.testing.assert_allclose(objects['gt_point'], np.full(1000, 0.001), rtol=1e-5)
    assert objects['seg_fields'] == []
    scenes = loaded(taskonomy_label(taskonomy, 'class_scene', kept_classes=(1, 3)))['gt_point']
    np.testing.assert_allclose(scenes, [0.25, 0.75], rtol=1e-6)
    for kept in (365, -1, 'kitchen'):
        with raises_naming(ValueError, 'class_scene.npy', 364, kept):
            taskonomy_label(taskonomy, 'class_scene', kept_classes=(1, kept))
    points = loaded(taskonomy_label(taskonomy, 'vanishing_points'))['gt_vanishing_points']
    np.testing.assert_array_equal(points, np.eye(3).ravel())


@pytest.mark.parametrize(
    ('label', 'folder', 'kind', 'named'),
    [
        ('depth', 'depth_zbuffer', np.uint8, (8, 16)),
        ('depth_euclidean', 'depth_euclidean', np.uint8, (8, 16)),
        ('keypoints2d', 'keypoints2d', np.uint8, (8, 16)),
        ('edges2d', 'edge_texture', np.uint8, (8, 16)),
        ('reshading', 'reshading', np.uint16, (16, 8)),
    ],
)
def test_taskonomy_files_have_their_bits(taskonomy, label, folder, kind, named):
    for path in (taskonomy / folder).rglob('*.png'):
        save(path, np.full(SIZE, 100, kind))
    with raises_naming(ValueError, label, folder, *named):
        taskonomy_label(taskonomy, label)


def test_taskonomy_without_depth(taskonomy):
    for path in (taskonomy / 'depth_zbuffer').rglob('*.png'):
        path.unlink()
    with raises_naming(FileNotFoundError, 'depth_zbuffer', '2 files'):
        taskonomy_label(taskonomy, 'normals')
    found = loaded(taskonomy_label(taskonomy, 'normals', masked=False))['gt_normals']
    np.testing.assert_allclose(found, np.broadcast_to([0, 1, 0], found.shape), atol=1e-6)


@pytest.mark.parametrize('end', ['\r', '\n', '\r\n'])
def test_one_building_may_be_missing(taskonomy, end):
    text = (taskonomy / 'tiny.csv').read_bytes().decode().replace('\r', end)
    (taskonomy / 'tiny.csv').write_bytes(text.encode())
    paths = [taskonomy_label(taskonomy, 'depth').get_data_info(i)['img_path'] for i in range(2)]
    assert [path.split('/')[-2] for path in paths] == ['allensville', 'beechwood']
    with raises_naming(FileNotFoundError, '2 of 2', "'val'", 'away'):
        taskonomy_label(taskonomy, 'depth', split='val')
    with raises_naming(ValueError, 'tiny.csv', "'dev'", 'train'):
        taskonomy_label(taskonomy, 'depth', split='dev')
    with raises_naming(ValueError, 'tiny.csv', "'test'"):
        taskonomy_label(taskonomy, 'depth', split='test')
    (taskonomy / 'tiny.csv').write_bytes(text.replace('gone,1,0,0', 'gone,1').encode())
    with raises_naming(ValueError, 'tiny.csv', 'gone,1', '2', '4'):
        taskonomy_label(taskonomy, 'depth')
    (taskonomy / 'tiny.csv').write_bytes(text.encode('utf-8-sig'))
    assert len(taskonomy_label(taskonomy, 'depth')) == 2
    (taskonomy / 'tiny.csv').write_bytes(text.encode('utf-16'))
    with raises_naming(ValueError, 'tiny.csv', 'UTF-8'):
        taskonomy_label(taskonomy, 'depth')


# Clips of raw frames


@pytest.fixture
def frames(tmp_path):
    """Two videos of seven and two frames; every third has a depth map."""
    for video, count in (('kitchen', 7), ('office', 2)):
        for n in range(count):
            save(tmp_path / 'images' / video / f'r-10{n}.5.ppm', image(*SIZE, seed=n))
            if n % 3 == 2:
                save(tmp_path / 'depth' / video / f'r-10{n}.5.npy', np.full(SIZE, 1.0 + n))
    return tmp_path


def test_clips_end_in_a_labelled_frame(frames):
    dataset = build('NYUDScenes', frames, label='depth', every=3, clip_length=2, clip_step=2)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_path'][-17:] for info in infos] == ['kitchen/r-102.5.ppm'[-17:]] + [
        'kitchen/r-105.5.ppm'[-17:]
    ]
    ends = [[path[-7:-6] for path in info['clip_paths']] for info in infos]
    assert ends == [['0', '2'], ['3', '5']]
    (frames / 'some.txt').write_text('kitchen/r-102.5 kitchen/r-105.5')
    listed = build('NYUDScenes', frames, label='depth', ann_file='some.txt', clip_length=4)
    assert len(listed) == 1 and len(listed.get_data_info(0)['clip_paths']) == 4
    with raises_naming(ValueError, 'every'):
        build('NYUDScenes', frames, label='depth', ann_file='some.txt', every=3)


def test_clips_go_through_a_pipeline_as_one_image(frames):
    pipeline = [
        dict(type='mdl_nas_mm.LoadClip'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(type='mmseg.RandomFlip', prob=1.0),
        dict(type='mdl_nas_mm.PackScene'),
    ]
    dataset = build('NYUDScenes', frames, label='depth', every=3, clip_length=3, pipeline=pipeline)
    packed = dataset[0]
    assert packed['inputs'].shape == (9, *SIZE)
    for n in range(3):
        frame = packed['inputs'][3 * n : 3 * n + 3].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(frame[:, ::-1, ::-1], image(*SIZE, seed=n))


def test_clips_around_a_labelled_frame_are_normalised_frame_by_frame(frames):
    pipeline = [
        dict(type='mdl_nas_mm.LoadClip'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(type='mdl_nas_mm.ScenePad', size=(64, 32)),
        dict(type='mdl_nas_mm.PackScene'),
    ]
    clips = dict(clip_length=3, clip_after=1)
    dataset = build('NYUDScenes', frames, label='depth', every=3, pipeline=pipeline, **clips)
    # The last frame of the other video has none after it, and 105 is the last but one of this.
    assert [each['inputs'].shape for each in dataset] == [(9, 32, 64)] * 2
    ends = [path[-7:-6] for path in dataset.get_data_info(0)['clip_paths']]
    assert ends == ['1', '2', '3']
    mean, std = [10.0, 20.0, 30.0], [2.0, 3.0, 4.0]
    prepare = MODELS.build(
        dict(
            type='mdl_nas_mm.ScenePreProcessor', mean=mean, std=std, bgr_to_rgb=True, size=(32, 64)
        )
    )
    samples = [dataset[0], dataset[1]]
    batch = {key: [each[key] for each in samples] for key in ('inputs', 'data_samples')}
    found = prepare(batch, training=True)['inputs']
    assert found.shape == (2, 9, 32, 64)
    for i, each in enumerate(samples):
        for n in range(3):
            bgr = each['inputs'][3 * n : 3 * n + 3].numpy().astype(np.float32)
            rgb = (bgr[::-1] - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
            np.testing.assert_allclose(found[i, 3 * n : 3 * n + 3], rgb, rtol=1e-5)
    small = dict(batch, inputs=[batch['inputs'][0], batch['inputs'][1][:, :16]])
    small['data_samples'] = [each['data_samples'].clone() for each in (dataset[0], dataset[1])]
    label = small['data_samples'][1].gt_depth_map.data[:, :16]
    small['data_samples'][1].gt_depth_map = PixelData(data=label)
    with raises_naming(ValueError, '(16, 64)', '(32, 64)'):
        prepare(small, training=True)


# CIFAR-100


def test_cifar100_as_twenty_tasks(tmp_path, monkeypatch):
    from mmpretrain.datasets import CIFAR100

    from mdl_nas_mm.scenes.datasets.cifar import COARSE_CLASSES

    names = [name for each in COARSE_CLASSES.values() for name in each]
    assert sorted(names) == list(CIFAR100.METAINFO['classes'])
    assert all(list(each) == sorted(each) for each in COARSE_CLASSES.values())
    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])
    write_cifar100(tmp_path)
    seen = []
    for coarse in range(20):
        dataset = build('CIFAR100Task', tmp_path, coarse=coarse, download=False, split='test')
        classes = dataset.metainfo['classes']
        assert len(dataset) == 10 and len(classes) == 5
        for i in range(10):
            info = dataset.get_data_info(i)
            fine = int(info['img'][0, 0, 0]) % 100
            assert CIFAR100.METAINFO['classes'][fine] == classes[info['gt_label']]
            seen.append(int(info['img'][0, 0, 0]))
    assert sorted(seen) == list(range(200))
    assert build('CIFAR100Task', tmp_path, coarse='fish').metainfo['classes'][1] == 'flatfish'
    with raises_naming(ValueError, "'birds'"):
        build('CIFAR100Task', tmp_path, coarse='birds')
    with raises_naming(ValueError, 'split', "'val'"):
        build('CIFAR100Task', tmp_path, coarse='fish', split='val')
    for content in (b'', b'nothing', pickle.dumps(dict(data=np.zeros((1, 3072), np.uint8)))):
        (tmp_path / 'cifar-100-python' / 'test').write_bytes(content)
        with raises_naming(ValueError, "'fish'", tmp_path, 'cannot be read'):
            build('CIFAR100Task', tmp_path, coarse='fish', download=False, split='test')
    (tmp_path / 'cifar-100-python' / 'test').unlink()
    with raises_naming(ValueError, "'fish'", tmp_path, 'download'):
        build('CIFAR100Task', tmp_path, coarse='fish', download=False, split='test')


@pytest.mark.parametrize(
    ('label', 'named'),
    [(4, ("'fish'", 'ray')), (100, ("'fish'", 'label 100')), (-1, ("'fish'", 'label -1'))],
)
def test_cifar100_labels_are_those_of_its_classes(tmp_path, monkeypatch, label, named):
    """All rays of the files get another label."""
    from mmpretrain.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])
    write_cifar100(tmp_path)
    path, ray = tmp_path / 'cifar-100-python' / 'train', CIFAR100.METAINFO['classes'].index('ray')
    content = pickle.loads(path.read_bytes())
    content['fine_labels'] = [label if k == ray else k for k in content['fine_labels']]
    path.write_bytes(pickle.dumps(content))
    with raises_naming(ValueError, *named, tmp_path):
        build('CIFAR100Task', tmp_path, coarse='fish', download=False)
    with raises_naming(ValueError, "'fish'", '3 classes', 5):
        build('CIFAR100Task', tmp_path, coarse='fish', metainfo=dict(classes=tuple('abc')))


def test_cifar100_names_are_those_of_its_files(tmp_path, monkeypatch):
    from mmpretrain.datasets import CIFAR100

    from mdl_nas_mm.scenes.datasets.cifar import COARSE_CLASSES

    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])
    write_cifar100(tmp_path)
    path = tmp_path / 'cifar-100-python' / 'meta'
    fine, coarse = list(CIFAR100.METAINFO['classes']), list(COARSE_CLASSES)
    names = dict(fine_label_names=fine, coarse_label_names=coarse)
    path.write_bytes(pickle.dumps(names))
    assert len(build('CIFAR100Task', tmp_path, coarse='fish', download=False)) == 10
    swapped = [coarse[1], coarse[0], *coarse[2:]]
    for changes, named in (
        (dict(fine_label_names=['cat', *fine[1:]]), ("'cat'", f"'{fine[0]}'", 'fine_label_names')),
        (dict(coarse_label_names=swapped), ("'fish'", "'aquatic_mammals'")),
        (dict(coarse_label_names=coarse[:19]), ("'vehicles_2'",)),
    ):
        path.write_bytes(pickle.dumps(names | changes))
        with raises_naming(ValueError, path, *named):
            build('CIFAR100Task', tmp_path, coarse='fish', download=False)


@pytest.mark.parametrize(
    ('kind', 'largest'),
    [
        (np.uint8, 255),
        (np.uint16, 65535),
        (np.float32, 1),
        (np.float32, 255),
        (np.float32, 300),
        (np.int32, 1),
        (np.int32, 255),
        (np.int64, 65535),
        (bool, 1),
    ],
)
def test_edges_of_all_types_of_numbers(kind, largest):
    array = np.eye(3, dtype=kind) * kind(largest)
    assert (binary(array) == np.eye(3)).all()


def test_negative_classes_are_none():
    """Whatever their number, of files whose numbers have a sign."""
    found = classes(np.array([[-1, -2, 3], [255, 0, 7]], np.int16), ignored=(7,))
    assert found.tolist() == [[255, 255, 3], [255, 0, 255]]
    found = classes(np.array([[-1.0, 1.0, 0.0]]), zero_ignored=True)
    assert found.tolist() == [[255, 0, 255]]
