"""A batch of every task before the first step: it finds what does not fit, and changes nothing."""

import copy

import image_group
import mmcv
import numpy as np
import pytest
import torch
from helpers import build_runner, differences, joint_config, only, refusal_of_tool, write_config
from refusals import assert_names, raises_naming

from mdl_nas_mm.engine.dry_run import dry_run
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.failures import TaskError

DRY = {'train_cfg.dry_run': True}


def trained(cfg, folder, resume=None):
    """What a checkpoint holds of the end of a training."""
    cfg = copy.deepcopy(cfg)
    if resume is not None:
        cfg.load_from, cfg.resume = str(resume), True
    runner = build_runner(cfg, folder)
    runner.train()
    return torch.load(folder / 'iter_2.pth', weights_only=False)


@pytest.fixture(scope='module')
def without(data, tmp_path_factory):
    """The folder, and the end, of a training without it."""
    folder = tmp_path_factory.mktemp('without')
    return folder, trained(with_dropout(data, {}), folder)


def with_dropout(data, changes):
    """Two steps, validated after the first, with random numbers in heads and transforms."""
    changes = changes | {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 1}
    cfg = joint_config(data, changes=changes)
    cfg.tasks.seg.model.decode_head.dropout_ratio = 0.5
    return cfg


def test_the_training_is_the_same_to_the_bit(data, without, tmp_path):
    dry = trained(with_dropout(data, DRY), tmp_path)
    _, plain = without
    assert not differences(dry['state_dict'], plain['state_dict'])
    assert not differences(dry['optimizer'], plain['optimizer'])
    assert dry['message_hub']['log_scalars'].keys() == plain['message_hub']['log_scalars'].keys()


def test_a_resumed_training_is_the_same_to_the_bit(data, without, tmp_path):
    folder, plain = without
    resumed = trained(with_dropout(data, DRY), tmp_path, folder / 'iter_1.pth')
    assert not differences(resumed['state_dict'], plain['state_dict'])
    assert not differences(resumed['optimizer'], plain['optimizer'])


def prepared(cfg, folder):
    """A runner as it is before its dry run."""
    runner = build_runner(cfg, folder)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


class Remembering:
    """A pipeline with a memory, as of transforms that mix in earlier samples."""

    def __init__(self, pipeline):
        self.pipeline, self.seen = pipeline, []

    def __call__(self, results):
        self.seen.append(results)
        return self.pipeline(results)


def test_it_leaves_no_sample_in_a_transform(data, tmp_path):
    runner, pipelines = prepared(joint_config(data), tmp_path), []
    for loader in runner.train_loop.dataloader.loaders.values():
        dataset = loader.dataset
        while hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        dataset.pipeline = Remembering(dataset.pipeline)
        pipelines.append(dataset.pipeline)
    dry_run(runner)
    assert len(pipelines) == 3 and not any(pipeline.seen for pipeline in pipelines)


def test_it_tries_the_architectures_that_are_given(data, tmp_path, monkeypatch):
    cfg = joint_config(data)
    space = SearchSpace.from_config(cfg.backbone.space, TRANSFORMER)
    for expected, changes in (
        (space.largest(), {}),
        (space.smallest(), dict(joint_spec=dict.fromkeys(cfg.tasks, space.smallest().to_dict()))),
    ):
        cfg.merge_from_dict(changes)
        if changes:
            cfg.search_cfg = cfg.train_cfg.sampler = None
        runner, tried = prepared(cfg, tmp_path), {}
        loss = runner.train_loop.step.loss

        def noted(passes, task, spec, batch, loss=loss, tried=tried):
            tried[task] = spec
            return loss(passes, task, spec, batch)

        monkeypatch.setattr(runner.train_loop.step, 'loss', noted)
        dry_run(runner)
        assert tried == dict.fromkeys(cfg.tasks, expected)


def test_it_leaves_no_sample_in_an_evaluator_and_no_mode(data, tmp_path):
    runner = prepared(joint_config(data), tmp_path)
    before = copy.deepcopy(runner.model.state_dict())
    random = torch.get_rng_state()
    dry_run(runner)
    assert not differences(before, runner.model.state_dict()) and runner.model.training
    assert torch.equal(random, torch.get_rng_state())
    for evaluation in runner.val_loop.evaluations.values():
        for own in evaluation.tasks.values():
            assert all(not metric.results for metric in own.evaluator.metrics)


def refused(data, folder, changes, *names, task=None):
    """The error of a training that ends before its first step."""
    cfg = joint_config(data, changes=DRY | changes)
    runner = build_runner(only(cfg, task) if task else cfg, folder)
    with raises_naming(ValueError, *names) as error:
        runner.train()
    assert runner.iter == 0 and not list(folder.glob('*.pth'))
    return error


def test_channels_that_do_not_fit(data, tmp_path):
    changes = {'tasks.seg.model.decode_head.in_channels': [7, 7]}
    error = refused(data, tmp_path, changes, "task 'seg'", 'in_channels', 'Feature2Pyramid')
    assert error.errisinstance(TaskError) and error.value.is_clear


def test_a_failure_in_an_image_group_is_that_of_its_task(tmp_path):
    cfg = image_group.joint_config(image_group.write_images(tmp_path / 'data'))
    cfg.tasks.seg.model.decode_head.loss_decode.class_weight = [1.0, 2.0]
    with raises_naming(TaskError, "task 'seg'", 'iteration 0') as error:
        build_runner(cfg, tmp_path).train()
    assert "'parts'" not in str(error.value)


def test_a_sample_of_an_image_group_names_the_images(tmp_path):
    root = image_group.write_images(tmp_path / 'data')
    cfg = image_group.joint_config(root)
    cfg.tasks.pop('alone')
    runner = build_runner(cfg, tmp_path)
    mmcv.imwrite(np.zeros((8, 20), np.uint8), str(root / 'seg' / '3.png'))
    with raises_naming(ValueError, "images 'scene'", 'iteration 0', root / 'seg/3.png') as error:
        runner.train()
    assert "task 'scene'" not in str(error.value)


def test_head_that_cannot_be_built_is_named(data, tmp_path):
    changes = {'tasks.seg.model.decode_head.in_channels': 7}
    with raises_naming(TaskError, "task 'seg'", 'model'):
        build_runner(joint_config(data, changes=changes), tmp_path)
    changes = {'tasks.seg.model.decode_head.loss_decode.type': 'CrossEntropyLos'}
    with raises_naming(TaskError, "task 'seg'", 'model', 'CrossEntropyLos') as error:
        build_runner(joint_config(data, changes=changes), tmp_path)
    assert error.value.is_clear


def test_metric_that_the_evaluator_does_not_give(data, tmp_path):
    """Its top-3 accuracy, where just top-1 is configured."""
    changes = {'tasks.cls.score': 'accuracy/top3'}
    refused(data, tmp_path, changes, "task 'cls'", "'accuracy/top3'", 'accuracy/top1', task='cls')


def test_unreadable_image_of_the_validation(data, tmp_path, monkeypatch):
    read, seen = mmcv.imfrombytes, []

    def unreadable(content, *args, **kwargs):
        seen.append(1)
        # One of the validation, for the labels that it has, and a batch of the training.
        if len(seen) > 3:
            raise ValueError('cannot be read')
        return read(content, *args, **kwargs)

    monkeypatch.setattr(mmcv, 'imfrombytes', unreadable)
    refused(data, tmp_path, {}, "task 'cls'", 'evaluation', 'cannot be read', task='cls')


@pytest.mark.parametrize('score', ['coco/bbox_mAPP', 'coco/bbox_map', 'coco/mAP'])
def test_misspelt_precision_is_refused_though_nothing_is_detected_yet(data, score):
    with raises_naming(ValueError, "'det'", repr(score), 'coco/bbox_mAP'):
        resolve_joint_config(joint_config(data, changes={'tasks.det.score': score}))


def test_precision_of_masks_where_boxes_alone_are_measured(data):
    changes = {'tasks.det.score': 'coco/segm_mAP', 'tasks.det.val_evaluator.metric': 'bbox'}
    changes['tasks.det.search_evaluator.metric'] = 'bbox'
    with raises_naming(ValueError, "'det'", "'coco/segm_mAP'", 'coco/bbox_mAP') as error:
        resolve_joint_config(joint_config(data, changes=changes))
    assert 'coco/segm_mAP_50' not in str(error.value)


def test_validation_that_is_not_configured_is_said(data, tmp_path):
    from mdl_nas_mm.engine.settings import check_settings

    cfg = joint_config(data)
    cfg.pop('val_cfg')
    (line,) = [line for line in check_settings(resolve_joint_config(cfg)) if 'val_' in line]
    assert 'val_interval' in line and 'val_cfg' in line


def dry_warnings(cfg, folder):
    """What a training of one step says of its first batches."""
    cfg.train_cfg.max_iters = 1
    build_runner(cfg, folder).train()
    (log,) = folder.rglob('*.log')
    return [line for line in log.read_text().splitlines() if 'first training batch' in line]


def test_first_batch_without_a_label_is_said(data, tmp_path):
    """All pixels are 255, which upstream ignores."""
    cfg = only(joint_config(data, changes=DRY), 'seg', 'cls')
    for path in (data / 'seg' / 'annotations' / 'training').iterdir():
        labels = mmcv.imread(str(path), 'unchanged')
        mmcv.imwrite(np.full_like(labels, 255), str(tmp_path / path.name))
    cfg.tasks.seg.train_dataloader.dataset.data_prefix = dict(seg_map_path=str(tmp_path))
    (line,) = dry_warnings(cfg, tmp_path / 'run')
    assert_names(line, 'WARNING', "task 'seg'")


def test_first_batch_of_an_image_group_without_a_label_is_said(tmp_path):
    """A task's data set has the last images alone; the group's begin with those of the other."""
    root = image_group.write_images(tmp_path / 'data')
    cfg = image_group.joint_config(root)
    image_group.write_list(root, 'last', (4, 5))
    for task, listed in (('parts', 'all'), ('seg', 'last')):
        cfg.tasks[task].train_dataloader.dataset.ann_file = f'{listed}.txt'
    (line,) = dry_warnings(cfg, tmp_path / 'run')
    assert_names(line, 'WARNING', "task 'seg'")


def test_missing_runtime_base_is_named(data, tmp_path, monkeypatch):
    cfg = joint_config(data)
    cfg.pop('runner_type')
    path = write_config(cfg, tmp_path / 'joint.py')
    line = refusal_of_tool(monkeypatch, 'train', path)
    assert_names(line, str(path), 'mdl_nas_mm::_base_/joint_runtime.py')
