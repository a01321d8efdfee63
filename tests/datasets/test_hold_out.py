"""Training images set aside: upstream's data sets read both parts, which make up the whole."""

import json
from collections import Counter

import pytest
from helpers import (
    ROOT,
    call_tool,
    demo_data,
    joint_config,
    quick_mmengine,  # noqa: F401
    refusal_of_tool,
    write_config,
)
from mmengine.config import Config
from mmengine.registry import DATASETS
from refusals import assert_names, raises_naming

from mdl_nas_mm.datasets.hold_out import hold_out
from mdl_nas_mm.datasets.training_sets import balanced, divide, evenly_spaced
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

# Digits have no class twice as often as another, so that ten of them are one of each.
COUNTS = dict(cls=10, det=4, seg=5, pose=4)
SUFFIXES = dict(cls='txt', det='json', seg='txt', pose='json')
FOLDERS = dict(
    cls='train',
    det=dict(img='images/train/'),
    seg=dict(img_path='images/training', seg_map_path='annotations/training'),
    pose=dict(img='images/train/'),
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return demo_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def cfg(data, tmp_path, monkeypatch):
    """The demo's joint config with poses, and names for the parts of each training set."""
    monkeypatch.chdir(ROOT)
    cfg = joint_config(data)
    loader = dict(num_workers=0, dataset=dict(data_root=f'{data}/pose/'))
    cfg.tasks.pose = dict(
        config='tasks/pose.py',
        score='coco/AP',
        backbone=dict(out_type='featmap', out_indices=(-1,)),
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=dict(ann_file=f'{data}/pose/annotations/val.json'),
    )
    for task, suffix in SUFFIXES.items():
        search, rest = (str(tmp_path / task / f'{name}.{suffix}') for name in ('search', 'rest'))
        changes = dict(ann_file=search, data_prefix=FOLDERS[task])
        cfg.tasks[task].search_dataloader = dict(dataset=changes)
        cfg.tasks[task].train_dataloader.dataset.ann_file = rest
    cfg.held_out_images = COUNTS
    return cfg


def images_of(dataset):
    """Image -> what is known of it, by an upstream data set."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    keys = ('gt_label', 'seg_map_path', 'instances', 'keypoints')
    return {info['img_path']: str({key: info.get(key) for key in keys}) for info in infos}


def test_upstream_data_sets_read_both_parts(cfg):
    parts = {part.task: part for part in hold_out(cfg)}
    assert list(parts) == list(COUNTS) and all(part.is_new for part in parts.values())
    resolved = resolve_joint_config(cfg)
    for task in COUNTS:
        del cfg.tasks[task].train_dataloader.dataset['ann_file']
    whole = resolve_joint_config(cfg)
    for task, count in COUNTS.items():
        with task_scope(resolved.tasks[task].scope):
            search = DATASETS.build(resolved.search_dataloader[task].dataset)
            rest = DATASETS.build(resolved.train_dataloader[task].dataset)
            both = DATASETS.build(whole.train_dataloader[task].dataset)
        assert search[0]['inputs'].shape[0] == rest[0]['inputs'].shape[0] == 3
        known = [images_of(dataset) for dataset in (search, rest, both)]
        assert (len(known[0]), len(known[1])) == parts[task].images
        assert len(known[0]) == count
        assert not known[0].keys() & known[1].keys()
        assert known[0] | known[1] == known[2]
        if task == 'cls':
            assert sorted(Counter(search.get_gt_labels().tolist()).values()) == [1] * 10


def test_the_same_data_give_the_same_files(cfg):
    first = {p: p.read_bytes() for part in hold_out(cfg) for p in (part.search, part.rest)}
    assert not any(part.is_new for part in hold_out(cfg))
    next(iter(first)).unlink()
    assert [part.task for part in hold_out(cfg) if part.is_new] == ['cls']
    assert {path: path.read_bytes() for path in first} == first


def test_other_content_is_not_written_over(cfg, tmp_path):
    rest = tmp_path / 'cls' / 'rest.txt'
    rest.parent.mkdir()
    rest.write_text('mine')
    with raises_naming(FileExistsError, 'rest.txt'):
        list(hold_out(cfg))
    assert rest.read_text() == 'mine'
    assert not (rest.parent / 'search.txt').exists()
    # Nor is the training set itself.
    cfg.held_out_images = dict(det=4)
    cfg.tasks.det.search_dataloader.dataset.ann_file = 'annotations/train.json'
    with raises_naming(FileExistsError, 'train.json'):
        list(hold_out(cfg))


@pytest.mark.parametrize(
    'changes, error, named',
    [
        ({'held_out_images': None}, ValueError, ('held_out_images', 'tasks')),
        ({'held_out_images': 5}, ValueError, ('held_out_images', 5)),
        (
            {'tasks.det.train_dataloader.dataset.ann_file': None},
            ValueError,
            ("'det'", 'train_dataloader.dataset.ann_file'),
        ),
        (
            {'tasks.det.search_dataloader': dict(_delete_=True)},
            ValueError,
            ("'det'", 'search_dataloader.dataset.ann_file'),
        ),
        (
            {
                'tasks.det.search_dataloader.dataset.ann_file': 'both.json',
                'tasks.det.train_dataloader.dataset.ann_file': 'both.json',
            },
            ValueError,
            ("both.json'",),
        ),
        (
            {'held_out_images.det': 12},
            ValueError,
            ("'det'", 'held_out_images', 12, 11),
        ),
        (
            {'held_out_images': dict(cls=20)},
            ValueError,
            ("'cls'", 'held_out_images', 20, 'class', '2 images'),
        ),
        (
            {'held_out_images.det': 4.5},
            ValueError,
            ("'det'", 'held_out_images', 4.5),
        ),
        (
            {'held_out_images': dict(seg=0)},
            ValueError,
            ("'seg'", 'held_out_images', 0, 15, 16),
        ),
        (
            {'tasks.det.train_dataloader.dataset.data_root': 'absent/'},
            FileNotFoundError,
            ("'det'", 'training set', "'absent/'"),
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(cfg, changes, error, named):
    cfg.held_out_images = dict(det=4)
    cfg.merge_from_dict(changes)
    with raises_naming(error, *named):
        list(hold_out(cfg))


@pytest.mark.parametrize(
    'dataset, scope, named',
    [
        (dict(type='ConcatDataset', datasets=[]), 'mmseg', ('ConcatDataset',)),
        (dict(type='CUB', data_root='here'), 'mmpretrain', ('CUB', 'list of images')),
        (dict(type='COCOStuffDataset', ann_file=''), 'mmdet', ('COCOStuffDataset', 'ann_file')),
        (dict(type='XMLDataset', ann_file='a.txt'), 'mmdet', ("ann_file 'a.txt'", 'COCO')),
    ],
)
def test_data_sets_of_other_formats_are_refused(dataset, scope, named):
    with raises_naming(ValueError, *named):
        divide(dataset, scope, 1)


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory):
    """Names of ImageNet's folders and files: three images of each class, and five of one."""
    root = tmp_path_factory.mktemp('imagenet')
    for label in range(1000):
        folder = root / 'train' / f'n{label:08d}'
        folder.mkdir(parents=True)
        for number in range(5 if label == 7 else 3):
            (folder / f'{folder.name}_{number}.JPEG').touch()
    return root


def read_labels(root, **files):
    with task_scope('mmpretrain'):
        dataset = DATASETS.build(dict(type='ImageNet', data_root=str(root), split='train', **files))
    return {
        dataset.get_data_info(i)['img_path']: dataset.get_data_info(i)['gt_label']
        for i in range(len(dataset))
    }


def test_imagenet_by_folders_and_by_its_list(imagenet, tmp_path):
    """Of each class as many; what has a list of its own is divided by that."""
    dataset = dict(type='ImageNet', data_root=str(imagenet), split='train')
    parts = divide(dataset, 'mmpretrain', 1500)
    assert parts.images == (1500, 1502)
    read = {}
    for name in ('search', 'rest'):
        (tmp_path / name).write_text(getattr(parts, name))
        read[name] = read_labels(imagenet, ann_file=str(tmp_path / name))
    assert set(Counter(read['search'].values()).values()) == {1, 2}
    assert read['search'] | read['rest'] == read_labels(imagenet)
    meta = imagenet / 'meta'
    meta.mkdir()
    lines = [f'n{label:08d}/n{label:08d}_0.JPEG {label // 2}' for label in range(40)]
    (meta / 'train.txt').write_text('\n'.join(lines))
    parts = divide(dataset, 'mmpretrain', 20)
    assert sorted(parts.search.splitlines() + parts.rest.splitlines()) == sorted(lines)
    assert {line.split()[1] for line in parts.search.splitlines()} == set(map(str, range(20)))


def test_names_in_folders_and_in_a_file(tmp_path):
    for city in ('aachen', 'bremen'):
        for kind, suffix in (('images', '.jpg'), ('maps', '.png')):
            (tmp_path / kind / city).mkdir(parents=True)
            for number in range(3):
                (tmp_path / kind / city / f'{number}{suffix}').touch()
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='maps'),
    )
    parts = divide(dataset, 'mmseg', 2)
    assert parts.search.splitlines() == ['aachen/1', 'bremen/1']
    assert parts.rest.splitlines() == ['aachen/0', 'aachen/2', 'bremen/0', 'bremen/2']
    (tmp_path / 'rest.txt').write_text(parts.rest)
    again = divide(dict(dataset, ann_file='rest.txt'), 'mmseg', 1)
    assert again.search.splitlines() == ['bremen/0'] and again.images == (1, 3)


def divide_coco(folder, content, count):
    (folder / 'coco.json').write_text(json.dumps(content))
    dataset = dict(type='CocoDataset', data_root=str(folder), ann_file='coco.json')
    return divide(dataset, 'mmdet', count)


def test_coco_keeps_all_else_and_goes_by_ids(tmp_path):
    """In whatever order images stand; also of images without annotations."""
    images = [dict(id=i, file_name=f'{i}.jpg') for i in (7, 3, 11, 5)]
    notes = [dict(id=i, image_id=image) for i, image in enumerate((3, 7, 7, 11))]
    content = dict(info=dict(year=2017), images=images, annotations=notes, categories=[dict(id=1)])
    parts = divide_coco(tmp_path, content, 2)
    search, rest = json.loads(parts.search), json.loads(parts.rest)
    assert [image['id'] for image in search['images']] == [11, 5]
    assert [note['id'] for note in search['annotations']] == [3]
    assert [note['id'] for note in rest['annotations']] == [0, 1, 2]
    for part in (search, rest):
        assert part['categories'] == content['categories'] and part['info'] == content['info']
    other = divide_coco(tmp_path, dict(content, images=images[::-1], annotations=[]), 2)
    assert {image['id'] for image in json.loads(other.search)['images']} == {5, 11}


def test_coco_with_ids_of_two_kinds_and_lists_of_images_alone(tmp_path):
    images = [dict(id=i, file_name=f'{i}.jpg') for i in (7, '3', 11, '20')]
    parts = divide_coco(tmp_path, dict(images=images, annotations=[dict(id=1, image_id='3')]), 2)
    search, rest = json.loads(parts.search), json.loads(parts.rest)
    assert [image['id'] for image in search['images']] == ['3', 11]
    assert search['annotations'] and not rest['annotations']
    parts = divide_coco(tmp_path, dict(images=images), 1)
    assert 'annotations' not in json.loads(parts.rest) and parts.images == (1, 3)
    with raises_naming(ValueError, '1 images'):
        divide_coco(tmp_path, dict(images=[*images, images[0]]), 1)


@pytest.mark.parametrize(
    ('content', 'named'),
    [
        (b'{', ('train.json', 'COCO', 'line 1')),
        (b'\xff\xfe{', ('train.json', 'COCO')),
        (b'[]', ('train.json', 'COCO')),
        (b'{"images": [{"file_name": "a.jpg"}]}', ('train.json', 'COCO', "KeyError: 'id'")),
        (b'{"images": []}', ('held_out_images', 1)),
    ],
)
def test_coco_files_that_are_none_are_named(tmp_path, content, named):
    path = tmp_path / 'train.json'
    path.write_bytes(content)
    with raises_naming(ValueError, *named):
        divide(dict(type='CocoDataset', ann_file=str(path)), 'mmdet', 1)


def test_a_mark_of_the_byte_order_and_a_data_set_around_it(cfg, data, tmp_path):
    """As a RepeatDataset has it."""
    whole = tmp_path / 'train.json'
    text = (data / 'det' / 'annotations' / 'train.json').read_bytes()
    whole.write_bytes(b'\xef\xbb\xbf' + text)
    task = cfg.tasks.det
    inner = dict(type='CocoDataset', data_root=f'{data}/det/', ann_file=str(whole))
    upstream = Config.fromfile(ROOT / 'configs/demo/tasks/det.py')
    upstream.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    upstream.dump(tmp_path / 'upstream.py')
    rest = task.train_dataloader.dataset.pop('ann_file')
    task.config = str(tmp_path / 'upstream.py')
    task.train_dataloader.dataset = dict(dataset=dict(ann_file=rest))
    cfg.held_out_images = dict(det=4)
    (part,) = hold_out(cfg)
    assert part.images == (4, 8) and len(json.loads(part.search.read_text())['images']) == 4


def test_positions():
    assert evenly_spaced(10, 2) == [2, 7]
    assert evenly_spaced(3, 3) == [0, 1, 2]
    assert balanced([0, 1, 0, 1, 0, 1, 0], 2) == [3, 4]
    # One more of the class in the middle.
    assert balanced([0] * 6 + [1] * 3 + [2] * 6, 4) == [3, 6, 8, 12]


def test_tool_says_what_it_wrote(cfg, tmp_path, monkeypatch, capsys):
    path = write_config(cfg, tmp_path / 'joint.py')
    call_tool(monkeypatch, 'hold_out', path, '--cfg-options', 'held_out_images.det=3')
    search = tmp_path / 'det' / 'search.json'
    said = capsys.readouterr().out
    assert f'det: 3 images set aside in {search}\n' in said
    assert 'det: 9 images left in' in said and 'there already' not in said
    assert len(json.loads(search.read_text())['images']) == 3
    call_tool(monkeypatch, 'hold_out', path, '--cfg-options', 'held_out_images.det=3')
    assert capsys.readouterr().out.count('there already') == len(COUNTS)
    assert_names(refusal_of_tool(monkeypatch, 'hold_out', path), "error: '", tmp_path / 'det')
