"""``SceneFolders``: labels of all kinds in folders of anyone's own, and what does not fit."""

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from refusals import raises_naming
from scenes.files import as_colours, image, save, slanted

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.scenes.encodings import read_label

SIZE = (6, 8)
NAMES = ('a', 'b', 'c')
CLASSES = ('floor', 'wall', 'thing')


@pytest.fixture
def folder(tmp_path):
    """Three images with masks, depth in millimetres, normals as colours, and edges."""
    for i, name in enumerate(NAMES):
        save(tmp_path / 'images' / f'{name}.jpg', image(*SIZE, seed=i))
        save(tmp_path / 'masks' / f'{name}.png', np.full(SIZE, i, dtype=np.uint8))
        depth = np.full(SIZE, 1500 + 100 * i, dtype=np.uint16)
        depth[0, 0], depth[0, 1] = 0, 65535
        save(tmp_path / 'depth' / f'{name}.png', depth)
        save(tmp_path / 'normals' / f'{name}.png', as_colours(slanted(*SIZE)))
        save(tmp_path / 'edges' / f'{name}.png', np.eye(*SIZE, dtype=np.uint8) * 255)
        save(tmp_path / 'heat' / f'{name}.npy', np.full((*SIZE, 2), 10.0 * i))
    (tmp_path / 'train.txt').write_text('a\nc\n')
    return tmp_path


def build(folder, **options):
    labels = dict(
        semseg=dict(folder='masks', classes=CLASSES),
        depth=dict(folder='depth', unit='mm', invalid=(0, 65535)),
        normals=dict(folder='normals'),
        edges=dict(folder='edges'),
        regression=dict(folder='heat', centre=5.0, scale=10.0),
    )
    config = dict(type='mdl_nas_mm.SceneFolders', data_root=str(folder), **labels) | options
    return DATASETS.build(config)


def loaded(dataset, index=0):
    """The label maps of an image, as the loading transform gives them."""
    from mdl_nas_mm.scenes.transforms import LoadSceneLabel

    info = dict(dataset.get_data_info(index), ori_shape=SIZE)
    return LoadSceneLabel()(info)


def test_one_label_of_each_image(folder):
    dataset = build(folder, label='depth')
    assert len(dataset) == 3 and dataset.metainfo['classes'] == ()
    assert dataset.get_data_info(1)['img_path'] == f'{folder}/images/b.jpg'
    depth = loaded(dataset, 1)['gt_depth_map']
    assert depth.dtype == np.float32 and depth[0, 0] == depth[0, 1] == 0
    np.testing.assert_allclose(depth.ravel()[2:], 1.6, rtol=1e-6)


def test_several_labels_in_one_data_set(folder):
    dataset = build(
        folder, labels=('semseg', 'normals', 'edges', 'regression'), ann_file='train.txt'
    )
    assert len(dataset) == 2 and dataset.metainfo['classes'] == CLASSES
    found = loaded(dataset, 1)
    assert found['seg_map_path'] == f'{folder}/masks/c.png'
    assert (found['gt_seg_map'] == 2).all() and found['gt_seg_map'].dtype == np.uint8
    np.testing.assert_allclose(np.linalg.norm(found['gt_normals'], axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found['gt_edges'], np.eye(*SIZE))
    np.testing.assert_allclose(found['gt_regression'], 1.5)


def test_upstreams_loading_reads_the_masks(folder):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        masks = dict(folder='masks', classes=CLASSES[:2], zero_ignored=True)
        found = build(folder, label='semseg', semseg=masks, pipeline=pipeline)[1]
    assert (found['gt_seg_map'] == 0).all()


def test_a_single_label_needs_no_name(folder):
    nothing = dict(semseg=None, normals=None, edges=None, regression=None)
    assert build(folder, **nothing).labels == ('depth',)
    with raises_naming(ValueError, 'SceneFolders', 'depth', 'normals'):
        build(folder)
    with raises_naming(ValueError, "'height'", 'depth'):
        build(folder, label='height')
    with raises_naming(ValueError, 'SceneFolders'):
        build(folder, depth=None, **nothing)
    with raises_naming(ValueError, 'semseg', 'classes'):
        build(folder, label='semseg', semseg=dict(folder='masks'))
    for classes in ((), 'floor', 3, (1, 2)):
        with raises_naming(ValueError, 'semseg', 'classes', repr(classes)):
            build(folder, label='semseg', semseg=dict(folder='masks', classes=classes))
    with raises_naming(ValueError, 'depth', 'folder'):
        build(folder, label='depth', depth=dict(unit='mm'))
    with raises_naming(ValueError, 'SceneFolders', 'depth', "'maps'"):
        build(folder, label='depth', depth='maps')


def test_two_labels_under_one_key_are_refused(folder):
    parts = dict(folder='masks', classes=CLASSES)
    with raises_naming(ValueError, 'semseg', 'gt_seg_map'):
        build(folder, labels=('semseg', 'human_parts'), human_parts=parts)


def test_files_that_are_missing_are_counted(folder):
    (folder / 'depth' / 'a.png').unlink()
    (folder / 'depth' / 'c.png').unlink()
    with raises_naming(FileNotFoundError, f'{folder}/depth', '2 files', '3 images', 'a.'):
        build(folder, label='depth')
    some = build(folder, label='depth', allow_missing=True)
    assert [info['img_path'][-5:] for info in map(some.get_data_info, range(len(some)))] == [
        'b.jpg'
    ]
    assert len(build(folder, label='normals')) == 3
    (folder / 'depth' / 'b.png').unlink()
    with raises_naming(FileNotFoundError, 'SceneFolders', 'depth'):
        build(folder, label='depth', allow_missing=True)


def test_names_of_a_list_may_have_spaces_and_endings(folder):
    for part, ending in (('images', 'jpg'), ('depth', 'png')):
        (folder / part / f'b.{ending}').rename(folder / part / f'my room.{ending}')
    (folder / 'train.txt').write_text('my room \r\n\r\na.jpg')
    dataset = build(folder, label='depth', ann_file='train.txt')
    found = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_path'].rpartition('/')[2] for info in found] == ['my room.jpg', 'a.jpg']
    assert [info['labels']['depth']['path'].rpartition('/')[2] for info in found] == [
        'my room.png',
        'a.png',
    ]


def test_a_list_without_names_is_named(folder):
    (folder / 'train.txt').write_text('\n')
    with raises_naming(FileNotFoundError, 'depth', 'train.txt'):
        build(folder, label='depth', ann_file='train.txt')


@pytest.mark.parametrize(
    'clip',
    [dict(clip_length=0), dict(clip_step=0), dict(clip_length='2'), dict(clip_after=-1)]
    + [dict(clip_length=4), dict(clip_length=3, clip_after=3)]
    # The image itself would be in none of these.
    + [dict(clip_after=1), dict(clip_length=1, clip_after=2)],
)
def test_clips_that_cannot_be_are_named(folder, clip):
    with raises_naming(ValueError, 'SceneFolders', *clip, *clip.values()):
        build(folder, label='depth', **clip)


def test_images_that_are_missing_are_named(folder):
    (folder / 'train.txt').write_text('a\nz\n')
    with raises_naming(FileNotFoundError, f'{folder}', 'z'):
        build(folder, label='depth', ann_file='train.txt')
    with raises_naming(FileNotFoundError, 'pictures'):
        build(folder, label='depth', images='pictures')


@pytest.mark.parametrize(
    'label, told, said',
    [
        ('depth', dict(folder='depth'), 'millimetres'),
        ('depth', dict(folder='depth', unit=1e-6), 'too small'),
        ('depth', dict(folder='depth', unit='feet'), "'feet'"),
        ('depth', dict(folder='normals'), 'one channel'),
        ('normals', dict(folder='normals', encoding='normals'), 'unit vectors'),
        ('normals', dict(folder='depth'), 'three channels'),
        ('normals', dict(folder='heat', encoding='normals_8bit'), 'three channels'),
        ('semseg', dict(folder='depth', classes=CLASSES), 'class 65535'),
        ('edges', dict(folder='inverted'), '90%'),
        ('depth', dict(folder='depth', unit=None), 'None'),
        ('depth', dict(folder='depth', unit=[0.001]), '[0.001]'),
        ('depth', dict(folder='depth', unit=0), '0'),
        ('depth', dict(folder='depth', unit=float('nan')), 'nan'),
        ('regression', dict(folder='heat', scale=0), 'scale'),
        ('regression', dict(folder='heat', channels=3), '2 channels'),
        ('regression', dict(folder='heat', encoding='guessed'), 'guessed'),
        ('regression', dict(folder='heat', slope=3), 'slope'),
        ('regression', dict(folder='complex'), 'complex'),
        ('depth', dict(folder='complex'), 'complex'),
        ('edges', dict(folder='negative'), '-1'),
        ('saliency', dict(folder='unknown'), 'nan'),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(folder, label, told, said):
    for name in NAMES:
        inverted = np.ones(SIZE, dtype=np.uint8) * 255
        inverted[0, :5] = 0
        save(folder / 'inverted' / f'{name}.png', inverted)
        for odd, value in dict(complex=1j, negative=-1.0, unknown=np.nan).items():
            save(folder / odd / f'{name}.npy', np.full(SIZE, value))
    with raises_naming(ValueError, label, said, f'{folder}/{told["folder"]}/a.'):
        build(folder, label=label, **{label: told})


def test_a_class_beyond_the_names_is_found_where_it_is(folder):
    """Not only in the first image, since a loss fails far from the file."""
    two = dict(folder='masks', classes=CLASSES[:2])
    dataset = build(folder, label='semseg', semseg=two)
    loaded(dataset, 1)
    with raises_naming(ValueError, 'masks/c.png', 'class 2', 'the 2 of'):
        loaded(dataset, 2)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32, np.float32])
def test_what_is_no_class(tmp_path, dtype):
    values = np.array([[0, 1, 2, 9, 255]], dtype=dtype)
    wanted = [0, 1, 2, 255, 255]
    if dtype == np.uint16:
        values[0, 4] = 65535
    if dtype in (np.int32, np.float32):
        values[0, 4] = -1
    save(tmp_path / 'm.npy', values)
    source = dict(path=str(tmp_path / 'm.npy'), encoding='classes', ignored=(9, 65535))
    assert read_label('semseg', source)[0].tolist() == wanted
    shifted = read_label('semseg', dict(source, zero_ignored=True))[0].tolist()
    assert shifted == [255, 0, 1, 255, 255]


def test_sizes_that_differ_are_said(folder):
    for name in NAMES:
        save(folder / 'depth' / f'{name}.png', np.full((3, 4), 1500, dtype=np.uint16))
    with raises_naming(ValueError, 'depth/a.png', '3 x 4', '6 x 8'):
        build(folder, label='depth')


def test_depth_that_is_nowhere_is_said(folder):
    for name in NAMES:
        save(folder / 'depth' / f'{name}.png', np.zeros(SIZE, dtype=np.uint16))
    with raises_naming(ValueError, 'depth/a.png', 'no pixel'):
        build(folder, label='depth')
    # One empty map among others is nothing special.
    save(folder / 'depth' / 'b.png', np.full(SIZE, 1500, dtype=np.uint16))
    assert len(build(folder, label='depth')) == 3


@pytest.mark.parametrize(
    ('label', 'parts', 'nothing', 'something'),
    [('semseg', 'masks', 255, 1), ('edges', 'edges', 0, 255), ('edges', 'edges', 99, 255)],
)
def test_labels_that_are_nowhere_are_said(folder, label, parts, nothing, something):
    for name in NAMES:
        save(folder / parts / f'{name}.png', np.full(SIZE, nothing, dtype=np.uint8))
    with raises_naming(ValueError, f'{parts}/a.png', 'no pixel'):
        build(folder, label=label)
    # One that has some is enough, wherever it is.
    few = np.full(SIZE, nothing, dtype=np.uint8)
    few[0, 0] = something
    save(folder / parts / 'c.png', few)
    assert len(build(folder, label=label)) == 3


def test_suffixes_folders_within_and_matlab_files(tmp_path):
    save(tmp_path / 'images' / 'x' / 'one.png', image(*SIZE))
    save(tmp_path / 'labels' / 'x' / 'one_depth.mat', np.full(SIZE, 2.5), key='metres')
    depth = dict(folder='labels', suffix='_depth.mat', key='metres')
    dataset = build(tmp_path, label='depth', depth=depth)
    np.testing.assert_allclose(loaded(dataset)['gt_depth_map'], 2.5)
    with raises_naming(ValueError, 'one_depth.mat', 'metres', 'depth'):
        build(tmp_path, label='depth', depth=dict(depth, key='depth'))


@pytest.mark.parametrize('ending', ['png', 'npy', 'mat', 'json'])
@pytest.mark.parametrize('content', [b'', b'nothing', b'PK\x03\x04' + bytes(50)])
def test_a_file_that_is_none_is_named(folder, ending, content):
    for path in (folder / 'depth').iterdir():
        path.unlink()
    for name in NAMES:
        (folder / 'depth' / f'{name}.{ending}').write_bytes(content)
    with raises_naming(ValueError, f'depth/a.{ending}') as error:
        build(folder, label='depth')
    assert 'object at' not in str(error.value)


@pytest.mark.parametrize('content', [b'a\nk\xfcche\n', 'a\nc\n'.encode('utf-16')])
def test_a_list_that_is_no_text_is_named(folder, content):
    (folder / 'train.txt').write_bytes(content)
    with raises_naming(ValueError, f'{folder}/train.txt', 'UTF-8'):
        build(folder, label='depth', ann_file='train.txt')


def test_a_list_may_begin_with_a_byte_order_mark(folder):
    (folder / 'train.txt').write_bytes('a\r\nc\r\n'.encode('utf-8-sig'))
    assert len(build(folder, label='depth', ann_file='train.txt')) == 2


@pytest.mark.parametrize('encoding, source, value, expected', [
    ('normals_8bit', {}, (127, 127, 127), 0),
    ('normals_8bit', {}, (128, 127, 128), 0),
    ('normals_8bit', {}, (255, 255, 255), 0),
    ('normals_8bit', {}, (0, 0, 0), 0),
    ('normals_8bit', {}, (128, 127, 255), 1),
    ('normals_8bit', dict(centre=127), (127, 127, 254), 1),
])  # fmt: skip
def test_which_colours_are_normals(tmp_path, encoding, source, value, expected):
    save(tmp_path / 'n.png', np.full((2, 2, 3), value, dtype=np.uint8))
    found = read_label('normals', dict(path=str(tmp_path / 'n.png'), encoding=encoding, **source))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), expected, atol=0.01)


def test_jpeg_normals_keep_their_holes(tmp_path):
    colours = as_colours(slanted(32, 32))
    colours[8:24, 8:24] = 128
    save(tmp_path / 'n.jpg', colours)
    source = dict(path=str(tmp_path / 'n.jpg'), encoding='normals_8bit')
    found = read_label('normals', source)
    assert not found[10:22, 10:22].any() and found[:8].any(-1).all()
