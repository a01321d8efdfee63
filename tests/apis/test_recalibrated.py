"""Batch norms are deposited as the search has scored them: estimated for the chosen subnet."""

import torch
from helpers import TASKS, build_runner, joint_config
from torch.nn.modules.batchnorm import _BatchNorm

from mdl_nas_mm.apis import load_task, save_deposit
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import SupernetEvaluator
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config


def means(model):
    return [m.running_mean.clone() for m in model.modules() if isinstance(m, _BatchNorm)]


def test_the_deposit_has_the_statistics_of_the_chosen_subnet(data, tmp_path):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    cfg.val_cfg, cfg.recalibrate_images = None, 4
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='BN')
    build_runner(cfg, tmp_path).train()
    cfg, supernet = resolve_joint_config(cfg), tmp_path / 'iter_1.pth'
    model = load_supernet(cfg, supernet)
    trained, evaluator = means(model.tasks['seg']), SupernetEvaluator(model, cfg)
    spec = model.backbone.space.smallest()
    with evaluator.norms['seg',].applied({'seg': model.subnet('seg', spec)}):
        scored = means(model.tasks['seg'])
    path = tmp_path / 'deposit.safetensors'
    save_deposit(cfg, supernet, JointSpec(dict.fromkeys(TASKS, spec)), path)
    deposited = means(load_task(path, 'seg'))
    assert trained and len(deposited) == len(trained)
    for before, found, expected in zip(trained, deposited, scored):
        assert torch.equal(found, expected) and not torch.equal(found, before)
