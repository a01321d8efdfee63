"""The classes of the data against those of the head, and against those in the files."""

import json
import shutil

import pytest
from helpers import build_runner, joint_config, only, refusal_of_tool, write_config
from mmengine.config import Config
from mmengine.registry import DATASETS
from refusals import assert_names, raises_naming

from mdl_nas_mm.tasks import check_classes, check_labels, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.classes import check_head


@pytest.mark.parametrize(
    ('model', 'metainfo', 'named'),
    [
        (
            dict(roi_head=dict(bbox_head=dict(num_classes=9))),
            dict(classes=('a',) * 10),
            ('classes', 10, 'roi_head.bbox_head.num_classes', 9),
        ),
        (
            dict(roi_head=dict(bbox_head=[dict(num_classes=10), dict(num_classes=9)])),
            dict(classes=('a',) * 10),
            ('classes', 10, 'roi_head.bbox_head.num_classes', 9),
        ),
        (
            dict(decode_head=dict(num_classes=2)),
            dict(classes=('a',) * 3),
            ('classes', 3, 'decode_head.num_classes', 2),
        ),
        (
            dict(head=dict(out_channels=17)),
            dict(num_keypoints=5),
            ('keypoints', 5, 'head.out_channels', 17),
        ),
        (
            dict(head=dict(num_joints=5)),
            dict(num_keypoints=17),
            ('keypoints', 17, 'head.num_joints', 5),
        ),
    ],
)
def test_heads_that_do_not_fit_their_data(model, metainfo, named):
    with raises_naming(ValueError, "'new'", *named):
        check_head('new', model, metainfo)


@pytest.mark.parametrize(
    ('model', 'metainfo'),
    [
        (dict(head=dict(num_classes=200)), dict(classes=('a',) * 200)),
        (dict(head=dict(num_classes=200)), dict()),
        (
            dict(roi_head=dict(mask_head=dict(num_classes=1, class_agnostic=True))),
            dict(classes='ab'),
        ),
        (dict(decode_head=dict(num_classes=1, out_channels=1)), dict(classes=('a', 'b'))),
        # Edges between classes have two of their own.
        (
            dict(
                decode_head=dict(num_classes=3),
                auxiliary_head=[dict(num_classes=3), dict(type='STDCHead', num_classes=2)],
            ),
            dict(classes='abc'),
        ),
        # The number of names that a text may have.
        (
            dict(language_model=dict(name='bert'), bbox_head=dict(num_classes=256)),
            dict(classes=('a',) * 1203),
        ),
        # Of things and stuff, boxes are of things alone.
        (
            dict(roi_head=dict(bbox_head=dict(num_classes=80))),
            dict(classes=('a',) * 133, thing_classes=('a',) * 80),
        ),
        # That of region proposals tells objects from background.
        (dict(rpn_head=dict(num_classes=1)), dict(classes=('a',) * 10)),
        (dict(head=dict(out_channels=17)), dict(num_keypoints=17, CLASSES=[dict(name='person')])),
        (
            dict(head=dict(out_channels=51, decoder=dict(heatmap_type='combined'))),
            dict(num_keypoints=17),
        ),
        # Trained on the keypoints of two data sets, evaluated on those of one.
        (
            dict(head=dict(out_channels=19), test_cfg=dict(output_keypoint_indices=range(17))),
            dict(num_keypoints=17),
        ),
    ],
)
def test_heads_that_fit_their_data(model, metainfo):
    check_head('new', model, metainfo)


def det_config(data, tmp_path, classes, **dataset):
    """The detector alone, whose training data have these classes."""
    dataset = dict(metainfo=dict(classes=classes), **dataset)
    cfg = only(joint_config(data), 'det')
    cfg.tasks.det.train_dataloader.dataset.update(dataset)
    return write_config(cfg, tmp_path / 'joint.py')


# Upstream leaves images without objects out of training sets, and keeps them where it is told to.
@pytest.mark.parametrize('filters', [True, False])
def test_classes_of_which_the_file_has_none(data, tmp_path, monkeypatch, filters):
    cats = ('cat', 'dog')
    path = det_config(data, tmp_path, cats, filter_cfg=dict(filter_empty_gt=filters))
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert_names(says, "'det'", '(cat, dog)', 'annotations/train.json')


@pytest.mark.parametrize('categories', [True, False])
def test_a_part_of_a_data_set_may_be_background_alone(data, tmp_path, categories):
    content = json.loads((data / 'det/annotations/train.json').read_text())
    content |= dict(annotations=[], categories=content['categories'] if categories else [])
    background = tmp_path / 'background.json'
    background.write_text(json.dumps(content))
    cfg = resolve_joint_config(only(joint_config(data), 'det'))
    whole = {**cfg.train_dataloader.det.dataset, 'filter_cfg': {}}
    part = {**whole, 'ann_file': str(background)}
    with task_scope('mmdet'):
        build = lambda *parts: DATASETS.build(dict(type='ConcatDataset', datasets=parts))  # noqa: E731
        check_classes('det', cfg.model.tasks.det.model, build(part, whole))
        with raises_naming(ValueError, "'det'", background):
            check_classes('det', cfg.model.tasks.det.model, build(part, part))


def test_one_class_that_the_file_does_not_have_is_warned_of(data, tmp_path):
    categories = json.loads((data / 'det/annotations/train.json').read_text())['categories']
    names = [category['name'] for category in categories[:9]]
    path = det_config(data, tmp_path, (*names, 'cat'))
    build_runner(Config.fromfile(path), tmp_path / 'work').train_loop  # noqa: B018
    log = next((tmp_path / 'work').rglob('*.log')).read_text()
    assert "task 'det': classes (cat) are no categories of" in log


@pytest.mark.parametrize(('split', 'place'), [('train', 0), ('train', 8), ('val', 0), ('val', 9)])
def test_a_class_that_is_absent_and_would_number_others(data, tmp_path, monkeypatch, split, place):
    """Upstream's evaluation fails, after the training, or all that it says is of other classes."""
    categories = json.loads((data / 'det/annotations/val.json').read_text())['categories']
    names = [category['name'] for category in categories]
    names[place] = 'cat'
    cfg = only(joint_config(data), 'det')
    cfg.tasks.det[f'{split}_dataloader'].dataset.metainfo = dict(classes=tuple(names))
    path = write_config(cfg, tmp_path / 'joint.py')
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert_names(says, 'error: ', "'det'", '(cat)', f'annotations/{split}.json')


def test_a_class_that_has_another_number_in_validation(data, tmp_path, monkeypatch):
    """Upstream numbers the folders of classes that it finds; scores would be of other classes."""
    own = shutil.copytree(data, tmp_path / 'demo')
    shutil.rmtree(own / 'cls' / 'val' / '5')
    path = write_config(only(joint_config(own), 'cls'), tmp_path / 'joint.py')
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert_names(says, 'error: ', "'cls'", "class '6'", 6, 5, 'metainfo.classes')
    check_labels('cls', dict(classes=('car', 'person')), dict(classes=('car', 'pedestrian')))
    check_labels('cls', dict(classes=('crane', 'crane')), dict(classes=('crane', 'crane')))
    check_labels('cls', dict(), dict(classes=('car', 'pedestrian')))


def test_a_head_of_fewer_classes(data, tmp_path, monkeypatch):
    """Before the first step, for tasks without a base as well, also where it just evaluates."""
    cfg = only(joint_config(data), 'seg')
    cfg.tasks.seg.model.decode_head.num_classes = 9
    path = write_config(cfg, tmp_path / 'joint.py')
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert_names(says, 'error: ', "'seg'", '11 classes', 'decode_head.num_classes', 9)
