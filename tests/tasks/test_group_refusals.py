"""What an image group cannot be is said in one line before a training begins."""

import shutil

import image_group
import mmcv
import numpy as np
import pytest
from image_group import CROP, LABELS, loaders, pipeline, scopes, write_images, write_list
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS
from refusals import raises_naming

from mdl_nas_mm.tasks import Split, build_group_eval_loader, build_group_train_loader


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture
def root(images, tmp_path):
    return shutil.copytree(images, tmp_path / 'images')


def build(configs):
    return build_group_train_loader('scene', scopes(configs), configs, seed=0)


def test_another_size_in_one_task_is_named(root):
    configs = loaders(root, 'seg', 'depth')
    moves = [dict(type='RandomCrop', crop_size=(8, 8)), *CROP[1:]]
    configs['depth']['dataset']['pipeline'] = pipeline('depth', moves)
    with raises_naming(ValueError, 'seg', 'depth', 'mmseg.RandomCrop', '(12, 12)', '(8, 8)'):
        build(configs)


@pytest.mark.parametrize('short', ['seg', 'depth'])
def test_a_transform_of_the_image_that_one_task_lacks_is_named(root, short):
    configs = loaders(root, 'seg', 'depth')
    configs[short]['dataset']['pipeline'] = pipeline(short, CROP[:1])
    long = dict(seg='depth', depth='seg')[short]
    with raises_naming(ValueError, f"'{long}' has mmseg.RandomFlip", f"'{short}' has not"):
        build(configs)


def test_another_transform_in_its_place_is_named(root):
    configs = loaders(root, 'seg', 'depth')
    moves = [CROP[0], dict(type='mmdet.RandomFlip', prob=0.5)]
    configs['depth']['dataset']['pipeline'] = pipeline('depth', moves)
    with raises_naming(ValueError, 'seg', 'mmseg.RandomFlip', 'depth', 'mmdet.RandomFlip'):
        build(configs)


def test_what_a_transform_is_made_of_counts(root):
    moves = [dict(type='RandomResize', scale=(16, 16), ratio_range=(0.5, 2.0))]
    with raises_naming(ValueError, 'mmcv.RandomResize', 'mmdet.Resize', 'mmseg.Resize'):
        build(loaders(root, 'det', 'seg', moves=moves))


def test_equal_arguments_may_be_written_differently(root):
    configs = loaders(root, 'seg', 'depth', moves=[dict(type='mmseg.Resize', scale=(24, 24))])
    same = [dict(type='Resize', scale=[24, 24], keep_ratio=False)]
    configs['depth']['dataset']['pipeline'] = pipeline('depth', same)
    assert len(build(configs).dataset) == 6


@pytest.mark.parametrize('key', ['batch_size', 'num_workers', 'collate_fn', 'pin_memory'])
def test_other_settings_of_a_loader_are_named(root, key):
    configs = loaders(root, 'seg', 'depth', moves=())
    value = dict(collate_fn=dict(type='default_collate'), pin_memory=True).get(key, 3)
    configs['depth'][key] = value
    with raises_naming(ValueError, 'scene', key, 'seg', 'depth', repr(value)):
        build(configs)


def test_orders_that_differ_are_named(root):
    configs = loaders(root, 'seg', 'depth')
    configs['depth']['sampler'] = dict(type='DefaultSampler', shuffle=False)
    with raises_naming(ValueError, 'sampler.shuffle', 'True', 'False', 'depth'):
        build(configs)


def test_missing_label_files_are_counted(root):
    for i in (2, 4):
        (root / 'depth' / f'{i}.png').unlink()
    with raises_naming(FileNotFoundError, 'depth', root / 'depth', '2 of 6', '2.png'):
        build(loaders(root, 'seg', 'depth'))


def test_a_folder_without_any_label_is_named(root):
    shutil.rmtree(root / 'depth')
    with raises_naming(FileNotFoundError, 'depth', root / 'depth', '6 of 6'):
        build(loaders(root, 'seg', 'depth'))


def test_a_label_of_another_size_is_named(root):
    mmcv.imwrite(np.zeros((8, 20), np.uint8), str(root / 'parts' / '0.png'))
    with raises_naming(ValueError, 'parts', root / 'parts/0.png', '8 x 20', '16 x 16'):
        build(loaders(root, 'seg', 'parts'))


def test_tasks_without_a_common_image_are_named(root):
    write_list(root, 'low', (0, 1))
    write_list(root, 'high', (4, 5))
    configs = loaders(root, 'seg', 'parts')
    for task, listed in dict(seg='low', parts='high').items():
        configs[task]['dataset']['ann_file'] = f'{listed}.txt'
    with raises_naming(ValueError, 'scene', 'seg', '0.png', '4.png'):
        build(configs)


def test_an_image_that_is_listed_twice_is_named(root):
    write_list(root, 'twice', (0, 1, 0))
    configs = loaders(root, 'seg', 'parts')
    configs['parts']['dataset']['ann_file'] = 'twice.txt'
    with raises_naming(ValueError, 'parts', 'images/0.png', 'more than once'):
        build(configs)


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ClassBalancedDataset'])
def test_a_wrapper_that_repeats_images_is_named(root, wrapper):
    configs = loaders(root, 'seg', 'parts')
    settings = dict(times=2) if wrapper == 'RepeatDataset' else dict(oversample_thr=0.1)
    configs['seg']['dataset'] = dict(type=wrapper, dataset=configs['seg']['dataset'], **settings)
    with raises_naming(ValueError, 'seg', wrapper, 'ConcatDataset'):
        build(configs)


def test_parts_with_pipelines_of_their_own_are_refused(root):
    configs = loaders(root, 'seg', 'parts')
    other = dict(configs['seg']['dataset'], pipeline=pipeline('seg', ()))
    configs['seg']['dataset'] = dict(
        type='ConcatDataset', datasets=[configs['seg']['dataset'], other]
    )
    with raises_naming(ValueError, 'seg', 'pipelines'):
        build(configs)


@DATASETS.register_module()
class Arrays(BaseDataset):
    """Has its images in memory."""

    def load_data_list(self) -> list[dict]:
        return [dict(img=np.zeros((16, 16, 3), np.uint8), gt_label=0)]


def test_a_data_set_without_image_files_is_named(root):
    configs = loaders(root, 'seg', 'cls')
    configs['cls']['dataset'] = dict(type='Arrays', pipeline=pipeline('cls'))
    with raises_naming(ValueError, 'cls', 'Arrays', 'files'):
        build(configs)


def test_objects_of_two_tasks_are_refused(root):
    configs = loaders(root, 'det', 'seg', moves=[dict(type='mmdet.Resize', scale=(32, 32))])
    configs['other'] = configs['det']
    with raises_naming(ValueError, 'det', 'other', 'gt_bboxes'):
        build_group_train_loader('scene', dict(det='mmdet', other='mmdet'), configs, seed=0)


@TRANSFORMS.register_module()
class Mark(BaseTransform):
    """Gives an image a mark of its own task."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def transform(self, results: dict) -> dict:
        return dict(results, mark=self.mark)


@TRANSFORMS.register_module()
class ChangeMark(BaseTransform):
    """Changes the image and the mark."""

    def transform(self, results: dict) -> dict:
        return dict(results, img=results['img'] + 1, mark=f'{results["mark"]}!')


def test_what_two_tasks_say_differently_cannot_change_for_both(root):
    configs = loaders(root, 'seg', 'depth', moves=[dict(type='ChangeMark')])
    for mark in ('equal', 'of depth'):
        for task, config in configs.items():
            said = mark if task == 'depth' else 'equal'
            steps = pipeline(task, [dict(type='ChangeMark')])
            config['dataset']['pipeline'] = [dict(type='Mark', mark=said), *steps]
        if mark == 'equal':
            build(configs)
    with raises_naming(ValueError, 'seg', 'depth', 'mark', 'ChangeMark'):
        build(configs)


@pytest.mark.parametrize('flip', ['mmdet.RandomFlip', 'mmcv.RandomFlip'])
@pytest.mark.parametrize(('task', 'key'), [('depth', 'gt_depth_map'), ('parts', 'gt_seg_map')])
def test_a_map_that_would_not_move_is_named(root, flip, task, key):
    with raises_naming(ValueError, repr(task), key, flip, 'mmseg.RandomFlip'):
        build(loaders(root, 'seg', task, moves=[dict(type=flip, prob=0.5)]))


def test_objects_that_would_not_move_are_named(root):
    moves = [dict(type='mmseg.RandomCrop', crop_size=(8, 8))]
    with raises_naming(ValueError, 'det', 'gt_bboxes', 'mmseg.RandomCrop'):
        build(loaders(root, 'det', 'seg', moves=moves))


def test_a_crop_that_needs_a_missing_label_is_named(root):
    write_list(root, 'some', (1, 2))
    moves = [dict(type='mmseg.RandomCrop', crop_size=(12, 12), cat_max_ratio=0.75)]
    configs = loaders(root, 'seg', 'depth', moves=moves)
    configs['seg']['dataset']['ann_file'] = 'some.txt'
    with raises_naming(ValueError, 'mmseg.RandomCrop', 'gt_seg_map', '0.png', 'cat_max_ratio'):
        build(configs)


@TRANSFORMS.register_module()
class Darken(BaseTransform):
    """Says of itself that it just reads the image."""

    changes_image = False

    def transform(self, results: dict) -> dict:
        return dict(results, img=results['img'] // 2)


def test_a_task_that_changes_the_image_for_itself_is_named(root):
    configs = loaders(root, 'seg', 'depth')
    configs['depth']['dataset']['pipeline'].insert(2, dict(type='Darken'))
    with raises_naming(ValueError, 'scene', 'depth', 'Darken', '0.png', 'changes the image'):
        build(configs)


def evaluated(configs, **evaluators):
    found = image_group.EVALUATORS | evaluators
    splits = {task: Split(config, found[task]) for task, config in configs.items()}
    return build_group_eval_loader('scene', scopes(configs), splits)


def test_a_metric_without_its_label_is_named(root):
    configs = loaders(root, 'seg', 'depth', moves=())
    configs['depth']['dataset']['pipeline'].remove(LABELS['depth'])
    with raises_naming(ValueError, 'depth', 'DepthMetric', 'gt_depth_map'):
        evaluated(configs)
    # One that only writes files needs none.
    configs['seg']['dataset']['pipeline'].remove(LABELS['seg'])
    formats = dict(type='IoUMetric', format_only=True, output_dir=str(root))
    assert len(evaluated(configs, seg=formats, depth=dict(type='DumpResults')).dataset) == 6


@pytest.mark.parametrize(
    ('metric', 'label'),
    [
        (dict(type='mdl_nas_mm.DepthErrorMetric'), 'gt_depth_map'),
        (dict(type='mdl_nas_mm.RegressionErrorMetric', key='regression'), 'gt_regression'),
    ],
)
def test_metrics_of_dense_tasks_say_their_label(root, metric, label):
    configs = loaders(root, 'seg', 'depth', moves=())
    if label == 'gt_depth_map':
        assert len(evaluated(configs, depth=metric).dataset) == 6
    with raises_naming(ValueError, 'seg', metric['type'], label):
        evaluated(configs, seg=metric)


def test_an_evaluation_without_images_of_a_task_is_named(root):
    write_list(root, 'none', ())
    configs = loaders(root, 'seg', 'parts', moves=())
    configs['parts']['dataset']['ann_file'] = 'none.txt'
    with raises_naming(ValueError, 'parts', 'no images'):
        evaluated(configs)
