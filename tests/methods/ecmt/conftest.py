"""A trained model, so to say, that can be controlled."""

import numpy as np
import pytest
import torch
from controlled_tasks import RESNET, SIZES
from elastic_head import CLASSES, SPACE, WIDTHS
from helpers import quick_mmengine, quick_writing  # noqa: F401
from image_group import joint_config, write_images
from mmengine.config import Config

from mdl_nas_mm.methods.ecmt.controller import Controller
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.tasks import resolve_joint_config, task_scope
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.randomness import seeded


@pytest.fixture(scope='session')
def supernet(tmp_path_factory):
    """A resolved config with a slimmable ResNet, a checkpoint, and a predictor."""
    folder = tmp_path_factory.mktemp('runtime')
    cfg = joint_config(write_images(folder / 'data'))
    cfg.backbone = RESNET
    for task in ('seg', 'parts'):
        cfg.tasks[task].model.decode_head = dict(
            _delete_=True,
            type='mdl_nas_mm.ElasticHead',
            space=dict(SPACE, depth=2),
            in_channels=24,
            in_index=-1,
            channels=max(WIDTHS),
            dropout_ratio=0.0,
            num_classes=CLASSES,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    cfg.tasks.alone.model.decode_head.norm_cfg = dict(type='BN')
    cfg.recalibrate_images = 4
    cfg.train_cfg.step = dict(type='ECMTStep')
    with quick_writing():
        cfg.dump(folder / 'joint.py')
    cfg = resolve_joint_config(Config.fromfile(folder / 'joint.py'))
    with task_scope('mdl_nas_mm'), seeded(0):
        model = MODELS.build(cfg.model)
        model.init_weights()
        for name, value in model.backbone.state_dict().items():
            if name.endswith('bn2.weight'):
                value.uniform_(0.5, 1.5)
    described = dict(
        space=model.backbone.space.to_config(), sharing=model.backbone.sharing.to_config()
    )
    path = folder / 'supernet.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}, backbone=described), path)
    columns = JointColumns(model.spaces)
    rows = columns.sample(60, np.random.default_rng(0))
    encoded = columns.encoded(rows)
    losses = np.stack([5 - encoded[:, columns.of_task(t)].sum(1) for t in cfg.tasks], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=5))
    return cfg, path, predictor


@pytest.fixture(scope='session')
def controller(supernet):
    cfg, _, predictor = supernet
    return Controller.of_model(weightless(cfg.model).eval(), predictor, SIZES)


@pytest.fixture
def controlled(supernet, controller):
    cfg, path, _ = supernet
    return ControlledModel.of(cfg, path, controller, images=4)
