"""ViT and Swin as encoders that are controlled, with slimmable decoders, by configuration alone."""

import math

import numpy as np
import pytest
import torch
from controlled_tasks import RESNET
from helpers import build_runner, quick_mmengine  # noqa: F401
from image_group import joint_config, write_images
from shared_images import BACKBONES
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.methods.ecmt import Controller
from mdl_nas_mm.methods.ecmt.costs import multiply_adds, parameters
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.budgets import MACS

TASKS = ('seg', 'parts', 'alone')
HEAD = dict(
    type='mdl_nas_mm.ElasticFCNHead',
    space=dict(width_ratio=(0.5, 1.0)),
    channels=4,
    num_convs=1,
    concat_input=False,
    norm_cfg=dict(type='BN'),
)


def config(root, encoder):
    cfg = joint_config(write_images(root))
    cfg.backbone = BACKBONES[encoder] | dict(sharing='AllShared')
    spaces = cfg.backbone.space
    for stage in spaces if isinstance(spaces, list) else [spaces]:
        stage['share_ratio'] = 1.0
    for task in TASKS:
        cfg.tasks[task].model.decode_head.update(HEAD)
    cfg.recalibrate_images = 4
    cfg.train_cfg.update(
        max_iters=2,
        sampler=dict(type='LargestFirstSampler', models=3),
        step=dict(type='ECMTStep', kd_weight=0.5),
    )
    return cfg


@torch.no_grad()
@pytest.mark.parametrize('encoder', BACKBONES)
def test_two_steps_and_a_request(encoder, tmp_path, quick_mmengine):  # noqa: F811
    runner = build_runner(config(tmp_path / 'data', encoder), tmp_path)
    with torch.enable_grad():
        runner.train()
    history = runner.message_hub.log_scalars
    for task in TASKS:
        for loss in (f'train/{task}/loss', f'train/{task}/ci_kd'):
            assert all(map(math.isfinite, history[loss].data[0])), loss
    cfg = resolve_joint_config(config(tmp_path / 'data', encoder))
    model = load_supernet(cfg, tmp_path / 'iter_2.pth').eval()
    columns = JointColumns(model.spaces)
    rows = columns.sample(40, np.random.default_rng(0))
    losses = np.stack([5 - rows[:, columns.of_task(task)].mean(1) for task in TASKS], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=5))
    controller = Controller.of_model(model.to('meta'), predictor, dict.fromkeys(TASKS, (16, 16)))
    cost = controller.costs[MACS]
    ends = [float(cost(row[None])[0]) for row in (0 * columns.choices, columns.choices - 1)]
    found = controller.configure(str(int(sum(ends) / 2)), dict(seg=1), cycles=5)
    assert found.cost <= sum(ends) / 2
    model = load_supernet(cfg, tmp_path / 'iter_2.pth').eval()
    images = torch.randn(2, 3, 16, 16)
    for task, spec in found.joint.items():
        given = model.supernet.parts[f'{task}.decode_head'].placed(spec).inputs
        assert given == model.backbone.active_channels(task, spec.root)
        plain = model.subnet(task, spec)
        assert plain.decode_head.convs[0].conv.weight.shape[1] == given[-1]
        with activate(task, spec):
            inside = model.tasks[task](images, mode='tensor')
        torch.testing.assert_close(plain(images, mode='tensor'), inside, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_costs_have_all_stages_that_any_task_takes(tmp_path):
    """The first task takes fewer than the others; decoders read what the encoder gives them."""
    cfg = joint_config(write_images(tmp_path))
    cfg.backbone = {key: value for key, value in RESNET.items() if key != 'out_indices'}
    for task in TASKS:
        stage, channels = (2, 12) if task == 'alone' else (3, 24)
        cfg.tasks[task].backbone = dict(out_indices=(stage,))
        cfg.tasks[task].model.decode_head.update(HEAD, in_channels=channels)
    model = weightless(resolve_joint_config(cfg).model).eval()
    columns, images = JointColumns(model.spaces), torch.empty(1, 3, 16, 16, device='meta')
    assert next(iter(columns.spaces)) == 'alone'
    cost = multiply_adds(model, columns, dict.fromkeys(TASKS, (16, 16)))
    for row in (columns.choices - 1, *columns.sample(4, np.random.default_rng(0))):
        encoders, behind = [], 0
        for task, spec in columns.joint(row).items():
            with model.scope(task), activate(task, spec):
                with FlopCounterMode(display=False) as encoder:
                    model.backbone(images)
                with FlopCounterMode(display=False) as whole:
                    model.tasks[task](images, mode='tensor')
            encoders.append(encoder.get_total_flops() // 2)
            behind += whole.get_total_flops() // 2 - encoders[-1]
        assert len(set(encoders)) == 2
        assert cost(row[None])[0] == max(encoders) + behind
    everything = sum(parameter.numel() for parameter in model.parameters())
    assert parameters(model, columns)((columns.choices - 1)[None])[0] == everything
