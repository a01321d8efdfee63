"""AutoFormer's packed bias of q, k and v all the way: trained, deposited, extracted."""

import pytest
import torch
from deposits import pack_joint
from helpers import build_runner, joint_config
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from new_tasks import architectures

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.tasks import task_scope

HEAD = 8


@pytest.mark.parametrize('sharing', ['Sequential', 'Mask'])
def test_it_is_trained_deposited_and_extracted(data, tmp_path, sharing):
    """Of n heads the first 3 n head widths of the bias, wherever the task is."""
    changes = {
        'backbone.preset': 'autoformer',
        'train_cfg.max_iters': 2,
        'val_cfg': None,
        'param_scheduler': [],
    }
    runner = build_runner(joint_config(data, sharing, changes), tmp_path)
    model, name = runner.model, 'backbone.blocks.0.attn.qkv_bias.'
    before = {n: p.detach().clone() for n, p in model.named_parameters() if n.startswith(name)}
    runner.train()
    after = dict(model.named_parameters())
    assert {f'{name}bias', f'{name}specific.det.bias'} <= set(before)
    assert all(not torch.equal(value, after[key]) for key, value in before.items()), before.keys()

    joint, path = architectures(), tmp_path / 'a.safetensors'
    pack_joint(path, runner.cfg, model.eval(), joint)
    images = torch.randn(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for task, spec in joint.items():
            loaded = Deposit(path).load_task(task)
            bias = loaded.backbone.blocks[0].attn.qkv_bias.bias
            assert bias.shape == (3 * HEAD * spec.stages[0].blocks[0].num_heads,)
            expected = model.backbone.forward_subnet(images, task, spec)
            assert all(map(torch.equal, loaded.backbone(images), expected))
        cfg = Config.fromfile(extract(path, 'cls', tmp_path / 'extracted'))
        with task_scope('mmpretrain'):
            plain = MODELS.build(cfg.model).eval()
        load_checkpoint(plain, cfg.load_from, 'cpu', strict=True, logger='silent')
        expected = model.backbone.forward_subnet(images, 'cls', joint['cls'])
        assert all(map(torch.equal, plain.backbone(images), expected))
