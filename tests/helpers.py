"""Builders that the tests of tasks, engine, search and deposit share: small, seeded, real.

The three tasks are the upstream classes of the demo (``ImageClassifier``, ``MaskRCNN``,
``EncoderDecoder`` with ``UPerHead``) with heads of a few channels, around a backbone of at most
two blocks, on a few of the bundled images.
"""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import json
import os
import random
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmengine.config.config
import mmengine.runner.runner
import numpy as np
import pytest
import torch
import yapf.yapflib.yapf_api
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement

from mdl_nas_mm.datasets import write_demo_data
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine import MultiTaskRunner
from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.plan import StepPlan
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel, resolve_joint_config, task_scope

ROOT = Path(__file__).parents[1]
TASKS = ('cls', 'det', 'seg')
WIDTH = 24
SPACE = dict(
    embed_dim=(16, WIDTH),
    depth=(1, 2),
    num_heads=(1, 2),
    mlp_ratio=(1, 2),
    share_ratio=(0.3, 0.6),
)
POLICIES = {
    'AllShared': 'AllShared',
    'AllSpecific': 'AllSpecific',
    'Sequential': 'Sequential',
    'Mask by score': dict(type='Mask', threshold='score'),
    'Mask by ratio': dict(type='Mask', threshold='ratio'),
}
PIXELS = dict(mean=[127.5] * 3, std=[64.0] * 3)
_CHANNELS = 8
_NMS = dict(nms_pre=20, max_per_img=10, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)


@functools.cache
def demo_data(folder: Path) -> Path:
    """The bundled data with ten or some more images a split, written once a folder."""
    write_demo_data(folder / 'demo', scale=0.01, progress=False)
    return folder / 'demo'


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    """The folder of ``demo_data``, the same for all tests."""
    return demo_data(tmp_path_factory.getbasetemp())


@contextmanager
def quick_writing() -> Iterator[None]:
    """Leaves out what takes a runner or a config that is written seconds and no test needs.

    That is laying out the config as neat source code, which each checkpoint holds, and asking
    compilers for their versions.
    """
    with pytest.MonkeyPatch.context() as patch:
        plain = lambda text, **_: (text, True)  # noqa: E731
        patch.setattr(yapf.yapflib.yapf_api, 'FormatCode', plain)
        # OpenMMLab's own mmengine has imported it by name.
        patch.setattr(mmengine.config.config, 'FormatCode', plain, raising=False)
        patch.setattr(mmengine.runner.runner, 'collect_env', dict)
        yield


@pytest.fixture(scope='module', autouse=True)
def quick_mmengine() -> Iterator[None]:
    """``quick_writing``, and what else saves time; restores the default scope.

    That is looking for garbage among all modules with each data set, and several threads for so
    small models. What is frozen stays so: the next file's look for garbage is at what this one has
    made alone.
    """
    scopes = dict(DefaultScope._instance_dict)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    with quick_writing():
        yield
    torch.set_num_threads(threads)
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)


def _classifier() -> dict:
    return dict(
        _delete_=True,
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=10, to_rgb=True, **PIXELS),
        backbone=dict(type='VisionTransformer'),
        head=dict(
            type='LinearClsHead',
            num_classes=10,
            in_channels=WIDTH,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def _detector() -> dict:
    coder = dict(type='DeltaXYWHBBoxCoder')
    assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.3)
    return dict(
        _delete_=True,
        type='MaskRCNN',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            bgr_to_rgb=True,
            pad_mask=True,
            pad_size_divisor=4,
            **PIXELS,
        ),
        backbone=dict(type='ResNet'),
        neck=dict(type='FPN', in_channels=[WIDTH], out_channels=_CHANNELS, num_outs=1),
        rpn_head=dict(
            type='RPNHead',
            in_channels=_CHANNELS,
            feat_channels=_CHANNELS,
            anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.5], strides=[4]),
            bbox_coder=coder,
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=_roi_extractor(3),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=_CHANNELS,
                fc_out_channels=16,
                roi_feat_size=3,
                num_classes=10,
                bbox_coder=coder,
            ),
            mask_roi_extractor=_roi_extractor(4),
            mask_head=dict(
                type='FCNMaskHead',
                num_convs=1,
                in_channels=_CHANNELS,
                conv_out_channels=_CHANNELS,
                num_classes=10,
                loss_mask=dict(type='CrossEntropyLoss', use_mask=True),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=assigner,
                sampler=dict(
                    type='RandomSampler', num=16, pos_fraction=0.5, add_gt_as_proposals=False
                ),
                allowed_border=-1,
                pos_weight=-1,
            ),
            rpn_proposal=_NMS,
            rcnn=dict(
                assigner=assigner,
                sampler=dict(type='RandomSampler', num=8, pos_fraction=0.5),
                mask_size=8,
                pos_weight=-1,
            ),
        ),
        # So low a threshold that an untrained detector finds something.
        test_cfg=dict(
            rpn=_NMS,
            rcnn=dict(
                score_thr=0.01,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=5,
                mask_thr_binary=0.5,
            ),
        ),
    )


def _roi_extractor(size: int) -> dict:
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=1),
        out_channels=_CHANNELS,
        featmap_strides=[4],
    )


def _segmentor() -> dict:
    return dict(
        _delete_=True,
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            bgr_to_rgb=True,
            size_divisor=4,
            pad_val=0,
            seg_pad_val=255,
            **PIXELS,
        ),
        backbone=dict(type='ResNet'),
        decode_head=dict(
            type='UPerHead',
            in_channels=[WIDTH] * 2,
            in_index=[0, 1],
            pool_scales=(1, 2),
            channels=_CHANNELS,
            dropout_ratio=0.1,
            num_classes=11,
            norm_cfg=dict(type='GN', num_groups=2),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def joint_config(data: Path, sharing='Sequential', changes: dict | None = None) -> Config:
    """The demo's joint config, made tiny, not resolved yet.

    Args:
        data: what ``demo_data`` gives.
        sharing: a policy's config.
        changes: more settings, as ``--cfg-options`` takes them (``{'tasks.det.score': ...}``).
    """
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / 'demo_joint.py')
    outputs = dict(
        cls=dict(out_type='avg_featmap', out_indices=(-1,)),
        det=dict(out_type='featmap', out_indices=(-1,)),
        seg=dict(out_type='featmap', out_indices=(0, -1)),
    )
    models = dict(cls=_classifier(), det=_detector(), seg=_segmentor())
    scores = dict(cls='accuracy/top1', det='coco/bbox_mAP', seg='mIoU')
    cfg.tasks = {
        task: dict(
            config=f'tasks/{task}.py',
            score=scores[task],
            backbone=outputs[task],
            model=models[task],
            train_dataloader=_loader(data, task, batch_size=2),
            val_dataloader=_loader(data, task, batch_size=5),
        )
        for task in TASKS
    }
    annotations = str(data / 'det' / 'annotations')
    cfg.tasks.det.val_evaluator = dict(ann_file=f'{annotations}/val.json')
    cfg.tasks.det.search_evaluator = dict(ann_file=f'{annotations}/search.json')
    searched = dict(
        cls=dict(data_prefix='search'),
        det=dict(ann_file='annotations/search.json', data_prefix=dict(img='images/search/')),
        seg=dict(data_prefix=dict(img_path='images/search', seg_map_path='annotations/search')),
    )
    for task, dataset in searched.items():
        cfg.tasks[task].search_dataloader = dict(dataset=dataset)
    cfg.backbone = dict(
        type='ElasticViT',
        space=SPACE,
        sharing=sharing,
        img_size=16,
        patch_size=4,
        head_dim=8,
        max_relative_position=3,
    )
    cfg.train_cfg = dict(
        type='MultiTaskTrainLoop',
        max_iters=6,
        val_interval=1000,
        sampler=dict(type='SandwichSampler', num_random=0),
        # It changes nothing, and takes as long as a step; see test_dry_run.py.
        dry_run=False,
    )
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05),
        clip_grad=dict(max_norm=1.0),
    )
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
        dict(type='CosineAnnealingLR', by_epoch=False, end=10, T_max=10),
    ]
    cfg.default_hooks.checkpoint.update(interval=1)
    cfg.randomness = dict(seed=0)
    cfg.load_from = None
    cfg.merge_from_dict(changes or {})
    return cfg


def _loader(data: Path, task: str, batch_size: int) -> dict:
    root = str(data / task) + '/'
    return dict(batch_size=batch_size, num_workers=0, dataset=dict(data_root=root))


def plan_alone(weights: dict[str, float], seed: int) -> StepPlan:
    """The plan of a single process that has batches of one image."""
    tasks = tuple(weights)
    return StepPlan.make(assign_ranks(tasks, None, 1), 0, dict.fromkeys(tasks, 1), weights, seed)


def only(cfg: Config, *tasks: str) -> Config:
    """The joint config with just these tasks."""
    cfg.tasks = {task: cfg.tasks[task] for task in tasks}
    return cfg


def build_model(cfg: Config, seed: int = 0) -> MultiTaskModel:
    """The joint model with random weights, in which no two tasks' own weights are equal."""
    torch.manual_seed(seed)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(resolve_joint_config(cfg).model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith('.score'):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


_NUMBERS = itertools.count()


def build_runner(cfg: Config, work_dir: Path) -> MultiTaskRunner:
    """A runner of its own: mmengine shares the state of runners that have one name."""
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'test_{next(_NUMBERS)}'
    return MultiTaskRunner.from_cfg(cfg)


def predict(model: MultiTaskModel, task: str, spec: SubnetSpec, data: dict) -> list:
    """What a task predicts inside of the supernet, with nothing copied out of it."""
    with model.scope(task), activate(task, spec):
        return model.tasks[task].val_step(data)


def plain(value):
    """Nested upstream data as dicts, lists and tensors."""
    if isinstance(value, BaseDataElement):
        return {key: plain(item) for key, item in value.all_items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    # Boxes and bitmap masks of mmdet wrap one array.
    for name in ('tensor', 'masks'):
        value = getattr(value, name, value)
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def differences(first, second, where: str = '') -> list[str]:
    """Where two nested states differ, tensors compared bit for bit."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same = first.dtype == second.dtype and torch.equal(first, second)
        return [] if same else [where]
    if isinstance(first, dict) and isinstance(second, dict):
        keys = list(first) + [key for key in second if key not in first]
        return [
            path
            for key in keys
            for path in (
                differences(first[key], second[key], f'{where}/{key}')
                if key in first and key in second
                else [f'{where}/{key}']
            )
        ]
    if isinstance(first, (list, tuple)) and len(first) == len(second):
        pairs = enumerate(zip(first, second))
        return [path for i, (a, b) in pairs for path in differences(a, b, f'{where}/{i}')]
    return [] if first == second else [where]


# What takes a process seconds and no test needs; see ``quick_writing``.
_QUICK = """
import gc, runpy, sys
import mmengine.runner.runner, torch, yapf.yapflib.yapf_api
yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, True)
mmengine.runner.runner.collect_env = dict
torch.set_num_threads(1)
gc.freeze()
"""


def run_python(code: str, *args: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    """Runs code as a process of its own."""
    return subprocess.run(
        [sys.executable, '-c', _QUICK + code, *map(str, args)],
        cwd=cwd,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_tool(name: str, *args: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    """Runs ``tools/<name>.py`` as a process of its own."""
    code = "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    return run_python(code, ROOT / 'tools' / f'{name}.py', *args, cwd=cwd)


def call_tool(monkeypatch, name: str, *args: str | Path) -> None:
    """Runs ``tools/<name>.py`` inside this process."""
    monkeypatch.setattr(sys, 'argv', [f'tools/{name}.py', *map(str, args)])
    runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')


def refusal_of_tool(monkeypatch, name: str, *args: str | Path) -> str:
    """What ``tools/<name>.py`` says when it refuses its arguments: one line."""
    with pytest.raises(SystemExit) as error:
        call_tool(monkeypatch, name, *args)
    message = error.value.code
    assert isinstance(message, str) and '\n' not in message, f'exit code {message!r}'
    return message


def write_config(cfg: Config, path: Path) -> Path:
    """Writes a joint config of the demo to a file of another folder."""
    cfg = copy.deepcopy(cfg)
    for task in cfg.tasks.values():
        if '::' not in task.get('config', '::'):
            task.config = str(ROOT / 'configs' / 'demo' / task.config)
    cfg.dump(path)
    return path


def read_json(path: Path):
    """The content of a JSON file."""
    return json.loads(path.read_text())


def random_joint(model: MultiTaskModel, rng: random.Random) -> JointSpec:
    """A joint spec drawn from a model's space."""
    return JointSpec({task: model.backbone.space.sample(rng) for task in model.tasks})


def check_share_nothing(backbone, task, specs, images):
    """Of subnets in one shared pass each answers as it does by itself, to the bit."""
    expected = []
    for spec in specs:
        with activate(task, spec):
            expected.append(backbone(images))
    with SharedPass():
        for spec, alone in zip(specs, expected):
            with activate(task, spec):
                assert all(map(torch.equal, backbone(images), alone))
