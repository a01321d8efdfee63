"""Upstream's visualization hooks draw each task of their library, and `test` keeps outputs."""

import pickle
from collections import Counter
from types import SimpleNamespace

import mmseg
import numpy as np
import pytest
import torch
from helpers import TASKS, build_runner, call_tool, joint_config, only, write_config
from mmengine.utils import digit_version
from mmpretrain.structures import DataSample
from persons import write_persons
from PIL import Image
from pose_task import classifier, pose_task
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mdl_nas_mm.engine.saved_outputs import DrawnFilesHook
from mdl_nas_mm.engine.validation import Evaluated

HOOKS = [
    dict(type='mmpretrain.VisualizationHook', enable=True, interval=5),
    dict(type='mmdet.DetVisualizationHook', draw=True, interval=1, priority=60),
    dict(type='mmseg.SegVisualizationHook', draw=True, interval=1),
]


@pytest.fixture(scope='module')
def drawn(data, tmp_path_factory):
    """The folder of a validation with pictures in two back ends."""
    folder = tmp_path_factory.mktemp('drawn')
    cfg = joint_config(data, changes=dict(custom_hooks=HOOKS))
    cfg.visualizer.vis_backends = [
        dict(type='mmengine.LocalVisBackend'),
        dict(type='mmengine.TensorboardVisBackend'),
    ]
    runner = build_runner(cfg, folder)
    runner.val()
    return next(folder.glob('*/vis_data'))


def test_pictures_on_disk_are_named_by_task(drawn):
    """Of two batches of five: the first of each, or every fifth image; all in older mmseg."""
    names = [path.name for path in (drawn / 'vis_image').iterdir()]
    old = digit_version(mmseg.__version__) < digit_version('1.3')
    drawings = dict(cls=2, det=2, seg=10 if old else 2)
    assert Counter(name.partition('_')[0] for name in names) == drawings
    for path in (drawn / 'vis_image').iterdir():
        assert np.asarray(Image.open(path)).std() > 5


def test_pictures_go_to_other_back_ends_as_well(drawn):
    events = EventAccumulator(str(drawn), size_guidance=dict(images=0)).Reload()
    tags = events.Tags()['images']
    assert {tag.partition('_')[0] for tag in tags} == {*TASKS}


def test_hook_draws_no_task_of_another_library(data, tmp_path):
    cfg = joint_config(data, changes=dict(custom_hooks=HOOKS[1:2]))
    runner = build_runner(only(cfg, 'det', 'seg'), tmp_path)
    runner.val()
    (folder,) = tmp_path.glob('*/vis_data/vis_image')
    assert sorted(path.name for path in folder.iterdir()) == [
        'det_val_img_0.png',
        'det_val_img_1.png',
    ]


def test_test_tool_keeps_drawings_and_predictions(data, tmp_path, monkeypatch):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    build_runner(cfg, tmp_path / 'train').train()
    path = write_config(cfg, tmp_path / 'mine.py')
    given = [path, tmp_path / 'train' / 'iter_1.pth', '--work-dir', tmp_path / 'test']
    call_tool(
        monkeypatch, 'test', *given, '--show-dir', tmp_path / 'shown', '--out', tmp_path / 'out'
    )
    for task in TASKS:
        drawings = list((tmp_path / 'shown' / task).iterdir())
        predicted = pickle.loads((tmp_path / 'out' / f'{task}.pkl').read_bytes())
        assert len(drawings) == len(predicted) == 10
        assert all(np.asarray(Image.open(drawing)).std() > 5 for drawing in drawings)
    assert 'pred_score' in pickle.loads((tmp_path / 'out' / 'cls.pkl').read_bytes())[0]


def test_no_drawing_takes_the_place_of_another(tmp_path):
    """Two persons of an image, beside an image that is named as the drawing of the second one."""
    samples = []
    for name in ('a', 'a', 'a_1'):
        path = tmp_path / f'{name}.png'
        Image.new('RGB', (8, 8)).save(path)
        sample = DataSample(metainfo=dict(img_path=str(path)))
        samples.append(sample.set_gt_label(0).set_pred_score(torch.tensor([0.1, 0.9])))
    at = Evaluated('cls', 0, SimpleNamespace(dataset_meta=dict(classes=('x', 'y'))))
    tasks = dict(cls=SimpleNamespace(scope='mmpretrain'))
    runner = SimpleNamespace(val_loop=SimpleNamespace(at=at), cfg=SimpleNamespace(tasks=tasks))
    DrawnFilesHook(tmp_path / 'shown').after_val_iter(runner, 0, {}, samples)
    assert len(list((tmp_path / 'shown' / 'cls').iterdir())) == 3


@pytest.fixture(scope='module')
def with_poses(data, tmp_path_factory):
    """A joint config of digits and poses, with mmpose's own hook."""
    cfg = classifier(data)
    cfg.tasks.pose = pose_task(write_persons(tmp_path_factory.mktemp('persons')))
    hook = dict(type='mmpose.PoseVisualizationHook', enable=True, interval=1)
    cfg.custom_hooks, cfg.train_cfg.max_iters = [HOOKS[0], hook], 1
    cfg.tasks.pose.train_dataloader.batch_size = 2
    return cfg


def test_poses_are_drawn_in_a_joint_training(with_poses, tmp_path):
    """Of two batches of poses the first person each, on its whole image."""
    build_runner(with_poses, tmp_path).train()
    (folder,) = tmp_path.glob('*/vis_data/vis_image')
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith('pose_'))
    assert names == ['pose_val_img_1.png', 'pose_val_img_2.png']
    assert all(np.asarray(Image.open(folder / name)).shape[1] == 640 for name in names)
    assert any(path.name.startswith('cls_') for path in folder.iterdir())


def test_every_person_of_an_image_has_a_drawing(with_poses, tmp_path, monkeypatch):
    build_runner(with_poses, tmp_path / 'train').train()
    path = write_config(with_poses, tmp_path / 'mine.py')
    given = [path, tmp_path / 'train' / 'iter_1.pth', '--work-dir', tmp_path / 'test']
    call_tool(monkeypatch, 'test', *given, '--show-dir', tmp_path / 'shown')
    names = Counter(path.stem.partition('_')[0] for path in (tmp_path / 'shown/pose').iterdir())
    assert names.total() == 12 and len(names) == 4
