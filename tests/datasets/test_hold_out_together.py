"""Images that several tasks have in common are set aside once, for all of them."""

import os

import pytest
from helpers import call_tool, quick_mmengine  # noqa: F401
from image_group import SCOPES, dataset, write_images, write_list
from image_group import joint_config as group_config
from mmengine.registry import DATASETS
from refusals import raises_naming
from scenes.layouts import write_mtan, write_taskonomy

from mdl_nas_mm.datasets.hold_out import hold_out
from mdl_nas_mm.datasets.training_sets import divide_common_images, read_training_set
from mdl_nas_mm.scenes.datasets import SceneFolders
from mdl_nas_mm.tasks import task_scope

TASKS = ('seg', 'parts', 'cls', 'det')


@pytest.fixture
def root(tmp_path):
    """Nine images; of the second task four have a label, of the classifier seven."""
    write_images(tmp_path / 'data', 9)
    write_list(tmp_path / 'data', 'parts', (7, 1, 4, 5))
    write_list(tmp_path / 'data', 'cls', range(2, 9))
    return tmp_path / 'data'


def datasets(root):
    found = {task: dataset(root, task) for task in TASKS}
    found['parts']['ann_file'], found['cls']['ann_file'] = 'parts.txt', 'cls_cls.txt'
    return found


def files_of(config, scope):
    with task_scope(scope):
        built = DATASETS.build(dict(config, pipeline=[]))
    return [built.get_data_info(i)['img_path'] for i in range(len(built))]


def test_no_image_is_in_both_parts_of_any_two_tasks(root, tmp_path):
    """Read by upstream's data sets of all libraries; each keeps its own order and labels."""
    configs = datasets(root)
    sets = {task: read_training_set(config, SCOPES[task]) for task, config in configs.items()}
    aside, trained = set(), set()
    for task, parts in divide_common_images(sets, 3).items():
        found = {}
        for name, text in dict(search=parts.search, rest=parts.rest).items():
            path = tmp_path / f'{task}.{name}{os.path.splitext(configs[task]["ann_file"])[1]}'
            path.write_text(text)
            found[name] = files_of(dict(configs[task], ann_file=str(path)), SCOPES[task])
        aside.update(found['search']), trained.update(found['rest'])
        whole = files_of(configs[task], SCOPES[task])
        assert sorted(found['search'] + found['rest']) == sorted(whole)
        assert found['search'] == [file for file in whole if file in found['search']]
        assert tuple(map(len, found.values())) == parts.images
    assert len(aside) == 3 and not aside & trained and len(trained) == 6


def test_the_tool_divides_a_group_by_the_name_of_its_images(root, tmp_path, monkeypatch, capsys):
    cfg = group_config(root)
    for task in cfg.tasks:
        search, rest = (str(tmp_path / f'{task}_{name}.txt') for name in ('search', 'rest'))
        cfg.tasks[task].search_dataloader = dict(dataset=dict(ann_file=search))
        cfg.tasks[task].train_dataloader.dataset.ann_file = rest
    cfg.held_out_images = dict(scene=2, alone=4)
    cfg.dump(tmp_path / 'joint.py')
    call_tool(monkeypatch, 'hold_out', tmp_path / 'joint.py')
    said = capsys.readouterr().out
    for task, count in dict(seg=2, parts=2, alone=4).items():
        search = tmp_path / f'{task}_search.txt'
        assert f'{task}: {count} images set aside in {search}' in said
        assert len(search.read_text().split()) == count
    assert (tmp_path / 'seg_search.txt').read_text() == (tmp_path / 'parts_search.txt').read_text()
    assert {part.is_new for part in hold_out(cfg)} == {False}
    cfg.held_out_images = dict(seg=2)
    with raises_naming(ValueError, 'held_out_images.seg', 'scene='):
        list(hold_out(cfg))


def test_a_task_without_any_label_of_what_is_set_aside_is_named(root):
    configs = datasets(root)
    write_list(root, 'parts', (0, 8))
    sets = {task: read_training_set(configs[task], SCOPES[task]) for task in ('seg', 'parts')}
    with raises_naming(ValueError, "'parts'", 2, 0):
        divide_common_images(sets, 2)
    with raises_naming(ValueError, 9):
        divide_common_images(sets, 9)


def test_scenes_are_listed_by_their_names(root):
    """One's own folders: the names of both parts are read again."""
    config = dict(
        type='mdl_nas_mm.SceneFolders',
        data_root=str(root),
        semseg=dict(folder='seg', suffix='.png', classes=tuple('abcdefg')),
        ann_file='all.txt',
    )
    whole = read_training_set(config, 'mmseg')
    parts = whole.divided([1, 4])
    assert parts.search == '1\n4\n' and parts.images == (2, 7)
    (root / 'search.txt').write_text(parts.search)
    told = {k: v for k, v in config.items() if k != 'type'}
    again = SceneFolders(**dict(told, ann_file='search.txt', pipeline=[]))
    assert [os.path.abspath(again[i]['img_path']) for i in range(2)] == [
        whole.files[1],
        whole.files[4],
    ]


def test_published_layouts_without_a_list_get_one(tmp_path):
    """Arrays of MTAN have none, Taskonomy's official ones are of buildings."""
    write_mtan(tmp_path / 'mtan')
    write_taskonomy(tmp_path / 'taskonomy')
    mtan = dict(type='mdl_nas_mm.MTANScenes', data_root=str(tmp_path / 'mtan'), label='depth')
    views = dict(type='mdl_nas_mm.TaskonomyScenes', data_root=str(tmp_path / 'taskonomy'))
    views |= dict(label='normals', ann_file='tiny.csv', allow_missing=True)
    for number, config in enumerate((mtan, views)):
        whole, found = files_of(config, 'mmseg'), {}
        parts = divide_common_images({'a': read_training_set(config, 'mmseg')}, 1)['a']
        for name, text in dict(search=parts.search, rest=parts.rest).items():
            path = tmp_path / f'{name}_{number}.txt'
            path.write_text(text)
            found[name] = files_of(dict(config, ann_file=str(path)), 'mmseg')
        assert len(found['search']) == 1 and len(whole) > 1
        assert sorted(found['search'] + found['rest']) == sorted(whole)
        path.write_text('nowhere/point_7_view_7\n')
        with raises_naming(FileNotFoundError, config['type'].partition('.')[2], 'view_7'):
            files_of(dict(config, ann_file=str(path), allow_missing=False), 'mmseg')
