"""Each transform against labels that are worked out by hand."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from refusals import raises_naming
from scenes.files import as_colours, image, save, slanted

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.scenes.labels import DEPTH, DISPARITY, NORMALS, REGRESSION, SEGMENTATION
from mdl_nas_mm.scenes.transforms import SceneResize, resize_label
from mdl_nas_mm.scenes.transforms.targets import distant_permutations

SIZE = (6, 8)
KEYS = dict(normals='gt_normals', depth='gt_depth_map', curvature='gt_regression')
NAMES = ('normals', 'depth', 'semseg', 'edges')


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Transforms are named as in mmseg's configs."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def labels_of(folder, *names, size=SIZE):
    """Label arrays as files, and what a data info says of them."""
    normals = slanted(*size)
    normals[0, 0] = 0
    depth = np.random.default_rng(1).uniform(1, 3, size).astype(np.float32)
    depth[1, 2] = 0
    arrays = dict(
        normals=(normals, dict(encoding='normals')),
        depth=(depth, dict(encoding='depth')),
        semseg=(np.arange(size[0] * size[1]).reshape(size) % 5, dict(encoding='classes')),
        edges=(np.eye(*size), dict(encoding='binary')),
        saliency=(np.eye(*size)[::-1], dict(encoding='binary')),
        curvature=(np.stack([normals[..., 0], depth], -1), dict(encoding='values')),
        vanishing_points=(np.arange(9.0), dict(encoding='vanishing_points')),
        class_scene=(np.ones(4) / 4, dict(encoding='probabilities')),
    )
    sources = {}
    for name in names:
        array, source = arrays[name]
        save(folder / f'{name}.npy', array)
        sources[name] = dict(path=str(folder / f'{name}.npy'), **source)
    return sources


def run(folder, names, *transforms, size=SIZE):
    """What a pipeline of loading, these transforms and packing gives."""
    save(folder / 'image.png', image(*size))
    pipeline = Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='mdl_nas_mm.LoadSceneLabel'),
            *transforms,
            dict(type='mdl_nas_mm.PackScene'),
        ]
    )
    info = dict(img_path=str(folder / 'image.png'), labels=labels_of(folder, *names, size=size))
    return pipeline(dict(info, seg_fields=[]))


def fields(packed):
    """Name -> (C, H, W) array of a sample."""
    return {key: value.data.numpy() for key, value in packed['data_samples'].items()}


def flip(direction):
    return dict(type='RandomFlip', prob=1.0, direction=direction)


@pytest.mark.parametrize(
    'flips, axes, signs',
    [
        ([], (), (1, 1, 1)),
        (['horizontal'], (2,), (-1, 1, 1)),
        (['vertical'], (1,), (1, -1, 1)),
        (['diagonal'], (1, 2), (-1, -1, 1)),
        (['horizontal', 'vertical'], (1, 2), (-1, -1, 1)),
        (['horizontal', 'horizontal'], (), (1, 1, 1)),
    ],
)
def test_a_flip_negates_what_points_along_it(tmp_path, flips, axes, signs):
    before = fields(run(tmp_path, NAMES))
    after = fields(run(tmp_path, NAMES, *map(flip, flips)))
    for key, label in before.items():
        expected = np.flip(label, axes)
        if key == 'gt_normals':
            expected = expected * np.array(signs)[:, None, None]
        np.testing.assert_array_equal(after[key], expected, err_msg=key)


def test_labels_are_packed_as_their_kinds_say(tmp_path):
    names = ('normals', 'depth', 'semseg', 'saliency', 'curvature', 'class_scene')
    sample = run(tmp_path, names)['data_samples']
    assert sample.gt_normals.data.shape == (3, *SIZE)
    assert sample.gt_depth_map.data.shape == (1, *SIZE)
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert sample.gt_saliency.data.dtype == torch.float32
    assert sample.gt_regression.data.shape == (2, *SIZE)
    assert sample.gt_point.data.tolist() == [0.25] * 4
    lengths = sample.gt_normals.data.norm(dim=0)
    assert lengths[0, 0] == 0 and torch.allclose(lengths.flatten()[1:], torch.ones(47))
    assert sample.ori_shape == SIZE


def test_a_crop_takes_the_same_pixels_of_all(tmp_path):
    names = (*NAMES, 'curvature')
    whole = fields(run(tmp_path, names))
    np.random.seed(3)
    cut = fields(
        run(tmp_path, names, dict(type='RandomCrop', crop_size=(4, 5)), flip('horizontal'))
    )
    places = [
        (top, left)
        for top in range(3)
        for left in range(4)
        if np.array_equal(
            cut['gt_depth_map'], whole['gt_depth_map'][:, top : top + 4, left : left + 5][..., ::-1]
        )
    ]
    assert len(places) == 1
    (top, left), mirror = places[0], np.array([-1, 1, 1])[:, None, None]
    box = np.s_[:, top : top + 4, left : left + 5]
    np.testing.assert_array_equal(cut['gt_normals'], whole['gt_normals'][box][..., ::-1] * mirror)
    np.testing.assert_array_equal(cut['gt_regression'], whole['gt_regression'][box][..., ::-1])


@pytest.mark.parametrize('resize', ['Resize', 'mdl_nas_mm.SceneResize'])
def test_resized_labels_stay_what_they_are(tmp_path, resize):
    """At sizes that divide and that do not, up and down, flipped afterwards."""
    for scale in ((16, 12), (5, 3), (11, 9)):
        found = fields(
            run(
                tmp_path,
                ('normals', 'depth', 'edges', 'semseg'),
                dict(type=resize, scale=scale),
                flip('horizontal'),
            )
        )
        lengths = np.linalg.norm(found['gt_normals'], axis=0)
        assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6))
        assert set(np.unique(found['gt_edges'])) <= {0, 1}
        depth = found['gt_depth_map']
        assert depth.shape == (1, *scale[::-1]) and np.all((depth == 0) | (depth >= 1))
        assert set(np.unique(found['gt_sem_seg'])) <= set(range(5))


@pytest.mark.parametrize('kind', [DEPTH, DISPARITY], ids=lambda kind: kind.key)
def test_means_are_of_valid_pixels_of_one_surface(kind):
    ramp = np.float32([[1.0, 1.02, 1.04, 1.06, 3.0, 3.0, 0.0, 3.0]] * 2)
    twice = resize_label(ramp, kind, (16, 4))[0]
    # Between two pixels, a quarter from the nearest.
    np.testing.assert_allclose(twice[:6], [1, 1.005, 1.015, 1.025, 1.035, 1.045], rtol=1e-6)
    # The step from 1.06 to 3 is not rounded off; where there is none, there is none around it.
    np.testing.assert_allclose(twice[7:9], [1.06, 3.0])
    assert twice[11] == 3 and twice[12] == twice[13] == 0 and twice[14] == 3


def test_means_of_normals_have_length_one_and_creases_stay():
    angles = np.deg2rad([0, 10, 20, 90])
    row = np.stack([np.sin(angles), np.zeros(4), np.cos(angles)], -1).astype(np.float32)
    twice = resize_label(np.stack([row, row]), NORMALS, (8, 4))[0]
    found = np.rad2deg(np.arctan2(twice[:, 0], twice[:, 2]))
    np.testing.assert_allclose(found, [0, 2.5, 7.5, 12.5, 17.5, 20, 90, 90], atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(twice, axis=-1), 1, rtol=1e-6)


def test_regressions_without_a_value_stay_without():
    label = np.full((2, 4, 1), np.nan, dtype=np.float32)
    label[:, :2] = 5
    twice = resize_label(label, REGRESSION, (8, 4))
    np.testing.assert_array_equal(twice[0, :, 0], [5, 5, 5, 5, *[np.nan] * 4])
    classes = np.uint8([[0, 255], [3, 255]])
    assert set(np.unique(resize_label(classes, SEGMENTATION, (5, 5)))) == {0, 3, 255}


def test_scaling_divides_depth_if_told(tmp_path):
    once = fields(run(tmp_path, ('depth',)))['gt_depth_map']
    for factor in (2.0, 0.5):
        resize = dict(type='mdl_nas_mm.SceneResize', scale_factor=factor, keep_ratio=True)
        kept = fields(run(tmp_path, ('depth',), resize))['gt_depth_map']
        divided = fields(run(tmp_path, ('depth',), dict(resize, divide_depth=True)))['gt_depth_map']
        np.testing.assert_allclose(divided, kept / factor, rtol=1e-6)
    assert once.max() <= 3
    squeeze = dict(type='mdl_nas_mm.SceneResize', scale=(8, 12), divide_depth=True)
    with raises_naming(ValueError, 'SceneResize', 'keep_ratio'):
        run(tmp_path, ('depth',), squeeze)


def test_disparity_grows_where_depth_is_divided():
    """The product of both stays what it is, focal length times baseline."""
    disparity = np.linspace(1, 1.1, 12, dtype=np.float32).reshape(3, 4)
    resize, found = SceneResize(scale_factor=2.0, keep_ratio=True, divide_depth=True), []
    for key, label in (('gt_depth_map', 500 / disparity), ('gt_disparity', disparity)):
        image = np.zeros((3, 4, 3), np.uint8)
        found.append(resize({'img': image, key: label, 'seg_fields': [key]})[key])
    np.testing.assert_allclose(found[0] * found[1], 500, rtol=1e-3)
    assert found[1].shape == (6, 8) and found[1].min() == pytest.approx(2)


def test_random_scales_use_it(tmp_path):
    scale = dict(
        type='RandomResize',
        scale=(8, 6),
        ratio_range=(2.0, 2.0),
        keep_ratio=True,
        resize_type='mdl_nas_mm.SceneResize',
        divide_depth=True,
    )
    found = fields(run(tmp_path, ('depth',), scale))['gt_depth_map']
    assert found.shape == (1, 12, 16) and 0.5 <= found[found > 0].min() and found.max() <= 1.5


@pytest.mark.parametrize('name', ['normals', 'depth', 'curvature'])
@pytest.mark.parametrize(
    'transform',
    [
        dict(type='RandomRotate', prob=1.0, degree=(20, 21)),
        dict(type='RandomRotFlip', rotate_prob=1.0, flip_prob=0.0, degree=90),
        dict(type='RandomCutOut', prob=1.0, n_holes=2, cutout_shape=(3, 3), seg_fill_in=255),
    ],
)
def test_what_turns_or_paints_is_refused(tmp_path, name, transform):
    np.random.seed(0)
    with raises_naming(ValueError, KEYS[name], 'PackScene'):
        run(tmp_path, (name,), transform, size=(8, 8))


def test_a_segmentation_may_be_turned(tmp_path):
    found = run(tmp_path, ('semseg',), dict(type='RandomRotate', prob=1.0, degree=(20, 21)))
    assert (found['data_samples'].gt_sem_seg.data == 255).any()


@pytest.mark.parametrize(
    'transform', [flip('horizontal'), flip('vertical'), dict(type='RandomCrop', crop_size=(3, 4))]
)
def test_vanishing_points_are_of_the_whole_image(tmp_path, transform):
    with raises_naming(ValueError, 'gt_vanishing_points'):
        run(tmp_path, ('vanishing_points',), transform)


def test_vanishing_points_do_not_depend_on_the_resolution(tmp_path):
    for scale in ((4, 3), (16, 12), (7, 5)):
        found = run(tmp_path, ('vanishing_points',), dict(type='Resize', scale=scale))
        assert found['data_samples'].gt_point.data.tolist() == list(range(9))


def test_labels_that_are_swapped_are_no_numbers(tmp_path):
    swap = dict(flip('horizontal'), swap_seg_labels=[(0, 1)])
    run(tmp_path, ('semseg',), swap)
    with raises_naming(ValueError, 'swap_seg_labels', 'gt_edges'):
        run(tmp_path, ('semseg', 'edges'), swap)


def test_padding_holds_no_labels(tmp_path):
    names = ('normals', 'depth', 'semseg', 'edges', 'curvature')
    found = fields(run(tmp_path, names, dict(type='mdl_nas_mm.ScenePad', size=(10, 7))))
    assert found['gt_depth_map'].shape == (1, 7, 10)
    expected = dict(
        gt_normals=0, gt_depth_map=0, gt_sem_seg=255, gt_edges=255, gt_regression=np.nan
    )
    for key, value in expected.items():
        for added in (found[key][:, 6:], found[key][..., 8:]):
            np.testing.assert_array_equal(added, value)
    padded = dict(type='mdl_nas_mm.ScenePad', size=(10, 7))
    before = fields(run(tmp_path, names, padded))['gt_normals']
    after = fields(run(tmp_path, names, padded, flip('horizontal')))['gt_normals']
    mirror = np.array([-1, 1, 1])[:, None, None]
    np.testing.assert_array_equal(after, before[..., ::-1] * mirror)


def test_a_map_that_was_left_behind_is_named(tmp_path):
    """mmcv's own padding knows ``gt_seg_map`` alone."""
    pad = dict(type='mmcv.Pad', size=(10, 7))
    crop = dict(type='RandomCrop', crop_size=(5, 5))
    with raises_naming(ValueError, 'gt_depth_map', '5 x 5'):
        run(tmp_path, ('depth',), crop, pad)


def test_labels_of_an_evaluation_keep_their_size(tmp_path):
    save(tmp_path / 'image.png', image(*SIZE))
    pipeline = Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(16, 12)),
            dict(type='mdl_nas_mm.LoadSceneLabel'),
            dict(type='mdl_nas_mm.PackScene'),
        ]
    )
    labels = labels_of(tmp_path, 'depth', 'normals')
    found = pipeline(dict(img_path=str(tmp_path / 'image.png'), labels=labels, seg_fields=[]))
    assert found['inputs'].shape == (3, 12, 16)
    assert found['data_samples'].gt_normals.shape == SIZE


@pytest.mark.parametrize('is_first', [True, False], ids=['resized first', 'resized last'])
def test_an_image_of_no_data_set_has_no_labels(tmp_path, is_first):
    """As one to predict, whether or not labels are loaded at their own size."""
    save(tmp_path / 'image.png', image(*SIZE))
    load = [dict(type='mdl_nas_mm.LoadSceneLabel')]
    resize = [
        dict(type='mdl_nas_mm.SceneResize', scale=(12, 12), keep_ratio=False),
        dict(type='mdl_nas_mm.ScenePad', size=(16, 16)),
    ]
    steps = resize + load if is_first else load + resize
    pipeline = Compose([dict(type='LoadImageFromFile'), *steps, dict(type='mdl_nas_mm.PackScene')])
    found = pipeline(dict(img_path=str(tmp_path / 'image.png')))
    assert set(found) == {'inputs', 'data_samples'} and not found['data_samples'].keys()
    assert found['inputs'].shape == (3, 16, 16)
    with raises_naming(ValueError, 'LoadSceneLabel'):
        pipeline(dict(img_path=str(tmp_path / 'image.png'), sample_idx=0))


def test_names_behind_a_dot_tell_labels_apart(tmp_path):
    """As a group renames them while the transforms of all its tasks run."""
    save(tmp_path / 'image.png', image(*SIZE))
    load = Compose([dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')])
    labels = labels_of(tmp_path, 'normals')
    results = load(dict(img_path=str(tmp_path / 'image.png'), labels=labels, seg_fields=[]))
    before = results['gt_normals']
    for key in results['seg_fields']:
        results[f'{key}.room'] = results.pop(key)
    results['seg_fields'] = [f'{key}.room' for key in results['seg_fields']]
    moved = Compose(
        [dict(type='mdl_nas_mm.SceneResize', scale=(16, 12)), flip('horizontal')]
        + [dict(type='mdl_nas_mm.PackScene')]
    )(results)
    expected = resize_label(before, NORMALS, (16, 12))[:, ::-1] * (-1, 1, 1)
    found = moved['data_samples'].gt_normals.data.numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_normals_that_no_one_watched_are_refused(tmp_path):
    pack = Compose([dict(type='mdl_nas_mm.PackScene')])
    with raises_naming(ValueError, 'gt_normals', 'LoadSceneLabel'):
        pack(dict(img=image(*SIZE), gt_normals=slanted(*SIZE)))


def test_a_batch_is_padded_with_what_is_no_label():
    preprocessor = MODELS.build(
        dict(type='mdl_nas_mm.ScenePreProcessor', size_divisor=4, mean=[0] * 3, std=[1] * 3)
    )
    samples, inputs = [], []
    for height, width in ((3, 6), (4, 5)):
        sample = SegDataSample(metainfo=dict(img_path='a.png'))
        for key, shape in dict(
            gt_depth_map=1, gt_normals=3, gt_edges=1, gt_regression=2, gt_sem_seg=1
        ).items():
            sample.set_data({key: PixelData(data=torch.ones(shape, height, width))})
        samples.append(sample)
        inputs.append(torch.ones(3, height, width))
    batch = preprocessor(dict(inputs=inputs, data_samples=samples), training=True)
    assert batch['inputs'].shape == (2, 3, 4, 8)
    values = dict(gt_depth_map=0, gt_normals=0, gt_edges=255, gt_sem_seg=255, gt_regression=np.nan)
    for sample, (height, width) in zip(batch['data_samples'], ((3, 6), (4, 5))):
        assert tuple(sample.pad_shape) == (4, 8)
        for key, value in values.items():
            label = sample.get(key).data.numpy()
            assert label.shape[1:] == (4, 8)
            np.testing.assert_array_equal(label[:, :height, :width], 1)
            np.testing.assert_array_equal(label[:, height:], value)
            np.testing.assert_array_equal(label[..., width:], value)


def test_a_label_that_was_not_padded_is_named():
    preprocessor = MODELS.build(dict(type='mdl_nas_mm.ScenePreProcessor', size=(4, 4)))
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    sample.set_data(dict(gt_depth_map=PixelData(data=torch.ones(1, 3, 4))))
    with raises_naming(ValueError, 'gt_depth_map', 'a.png'):
        preprocessor(dict(inputs=[torch.ones(3, 4, 4)], data_samples=[sample]), training=True)


def test_the_image_as_target():
    results = Compose([dict(type='mdl_nas_mm.ImageTarget')])(dict(img=image(*SIZE), sample_idx=0))
    np.testing.assert_allclose(results['gt_regression'][2, 3] * 255, results['img'][2, 3, ::-1])


def test_a_grey_image_as_target():
    """Its columns are no colours."""
    grey = image(*SIZE)[..., 0]
    results = Compose([dict(type='mdl_nas_mm.ImageTarget')])(dict(img=grey, sample_idx=0))
    np.testing.assert_allclose(results['gt_regression'] * 255, grey, rtol=1e-6)


def test_noise_is_added_to_the_image_alone():
    np.random.seed(0)
    before = np.full((40, 50, 3), 120, dtype=np.uint8)
    results = Compose([dict(type='mdl_nas_mm.DenoiseTarget', std=10.0)])(
        dict(img=before, sample_idx=0)
    )
    np.testing.assert_allclose(results['gt_regression'], 120 / 255, rtol=1e-6)
    assert results['img'].dtype == np.uint8
    assert abs(results['img'].std() - 10) < 0.5 and abs(results['img'].mean() - 120) < 0.5


@pytest.mark.parametrize('only_hole', [False, True])
def test_a_square_is_painted_over(only_hole):
    before = image(8, 12)
    target = dict(type='mdl_nas_mm.InpaintTarget', size=0.5, fill=0, only_hole=only_hole)
    results = Compose([target])(dict(img=before.copy(), sample_idx=0))
    hole = np.zeros((8, 12), dtype=bool)
    hole[2:6, 4:8] = True
    assert not results['img'][hole].any()
    np.testing.assert_array_equal(results['img'][~hole], before[~hole])
    assert np.isnan(results['gt_regression'][~hole]).all() == only_hole
    np.testing.assert_allclose(
        results['gt_regression'][hole] * 255, before[hole][:, ::-1], rtol=1e-6
    )


def test_tiles_are_permuted_as_the_target_says():
    jigsaw = dict(type='mdl_nas_mm.JigsawTarget', grid=2, num_permutations=5)
    tiles = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 3, 0), 4, 1).astype(np.uint8)
    results = Compose([jigsaw])(dict(img=np.stack([tiles] * 3, -1), sample_idx=0))
    chosen = distant_permutations(4, 5)[results['gt_point'].argmax()]
    found = [results['img'][row * 3, column * 4, 0] for row in range(2) for column in range(2)]
    assert found == chosen.tolist() and results['gt_point'].sum() == 1
    assert results['img'].shape == (6, 8, 3)
    with raises_naming(ValueError, 'JigsawTarget', '2 x 2'):
        Compose([jigsaw])(dict(img=image(5, 8), sample_idx=0))


@pytest.mark.parametrize(
    'target',
    [
        dict(type='mdl_nas_mm.DenoiseTarget'),
        dict(type='mdl_nas_mm.InpaintTarget', size=0.3, is_central=False),
        dict(type='mdl_nas_mm.JigsawTarget', grid=2, num_permutations=20),
    ],
    ids=lambda target: target['type'],
)
def test_what_is_drawn_may_be_the_same_each_time(target):
    """For evaluations: whatever was drawn before, and wherever the data lie."""
    by_image = Compose([dict(target, by_image=True)])

    def drawn(pipeline, number, folder='data'):
        path = f'{folder}/{number}.png'
        return pipeline(dict(img=image(24, 24), img_path=path, sample_idx=0))['img'].tobytes()

    first = [drawn(by_image, number) for number in range(8)]
    assert first == [drawn(by_image, number, 'elsewhere') for number in range(8)]
    assert len(set(first)) > 4
    assert len({drawn(Compose([target]), 0) for _ in range(8)}) > 4
    # One to predict stays as it is.
    found = by_image(dict(img=image(24, 24)))
    assert set(found) == {'img'} and (found['img'] == image(24, 24)).all()


def test_permutations_are_far_apart():
    found = distant_permutations(9, 20)
    distances = (found[:, None] != found[None]).sum(-1) + 9 * np.eye(20, dtype=int)
    assert distances.min() >= 7
    assert all(sorted(each) == list(range(9)) for each in found)


def test_8_bit_images_of_normals_lose_half_a_degree(tmp_path):
    vectors = slanted(20, 20)
    save(tmp_path / 'normals.png', as_colours(vectors))
    save(tmp_path / 'image.png', image(20, 20))
    labels = dict(normals=dict(path=str(tmp_path / 'normals.png'), encoding='normals_8bit'))
    load = Compose([dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')])
    found = load(dict(img_path=str(tmp_path / 'image.png'), labels=labels, seg_fields=[]))
    cosines = (found['gt_normals'] * vectors).sum(-1).clip(-1, 1)
    assert np.rad2deg(np.arccos(cosines)).max() < 0.5
