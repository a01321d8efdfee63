"""A deposit of tasks of all four libraries, of random weights."""

import json
from pathlib import Path

import pytest
import torch
from helpers import TASKS, build_model, joint_config, read_json

from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.deposit import pack
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

ALL = (*TASKS, 'pose')
JOINTS = 17


def pose_task(data: Path) -> dict:
    """Top-down poses on the images of detection, each image a box."""
    codec = dict(type='MSRAHeatmap', input_size=(32, 32), heatmap_size=(8, 8), sigma=1)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=codec['input_size']),
        dict(type='PackPoseInputs'),
    ]
    annotations = str(data / 'det' / 'annotations' / 'persons.json')
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CocoDataset',
            data_mode='topdown',
            ann_file=annotations,
            data_prefix=dict(img=str(data / 'det' / 'images' / 'val')),
            test_mode=True,
            pipeline=pipeline,
        ),
    )
    return dict(
        scope='mmpose',
        score='coco/AP',
        backbone=dict(out_type='featmap', out_indices=(-1,)),
        model=dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True
            ),
            backbone=dict(type='ResNet'),
            head=dict(
                type='HeatmapHead',
                in_channels=24,
                out_channels=JOINTS,
                deconv_out_channels=None,
                loss=dict(type='KeypointMSELoss'),
                decoder=codec,
            ),
            test_cfg=dict(flip_test=False),
        ),
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=dict(type='CocoMetric', ann_file=annotations),
    )


def write_persons(folder: Path) -> None:
    """A person as large as the image in every image of detection."""
    content = read_json(folder / 'val.json')
    content['annotations'] = [
        dict(
            id=image['id'],
            image_id=image['id'],
            category_id=1,
            bbox=[0, 0, image['width'], image['height']],
            area=image['width'] * image['height'],
            iscrowd=0,
            num_keypoints=JOINTS,
            keypoints=[8, 8, 2] * JOINTS,
        )
        for image in content['images']
    ]
    content['categories'] = [dict(id=1, name='person')]
    (folder / 'persons.json').write_text(json.dumps(content))


@pytest.fixture(scope='session')
def deposits(data, tmp_path_factory):
    """Name of the first class of detection -> a deposit of four tasks.

    The data sets of the second one are nowhere.
    """
    write_persons(data / 'det' / 'annotations')
    cfg = joint_config(data)
    cfg.tasks.pose = pose_task(data)
    model = build_model(cfg)
    # A detector that is sure to find the first class.
    with torch.no_grad():
        model.tasks.det.roi_head.bbox_head.fc_cls.bias[0] += 4
    cfg = resolve_joint_config(cfg)
    joint = JointSpec(dict.fromkeys(ALL, model.backbone.space.smallest()))
    paths = {}
    for name in ('digit', 'person'):
        paths[name] = tmp_path_factory.mktemp('deposit') / f'{name}.safetensors'
        cfg.val_dataloader.det.dataset.metainfo.classes = (name, *map(str, range(1, 10)))
        if name == 'person':
            for loader in cfg.val_dataloader.values():
                loader.dataset.update(data_root='nowhere', ann_file='nowhere.json')
        pack(paths[name], model, joint, cfg.model.backbone, task_infos(cfg, {}))
    return paths
