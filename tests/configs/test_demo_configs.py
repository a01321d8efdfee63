"""Each stage of the demo goes on from the text of its config, as its processes and resuming do."""

import pytest
import torch
from described import build, describe_deposit
from helpers import ROOT
from mmcv.ops import RoIAlign
from mmengine.config import Config

from mdl_nas_mm.tasks import resolve_joint_config

FOLDER = ROOT / 'configs' / 'demo'


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    cfg = resolve_joint_config(Config.fromfile(FOLDER / 'demo_joint.py'), check_files=False)
    joint = {task: space.largest() for task, space in build(cfg).spaces.items()}
    path = tmp_path_factory.mktemp('base') / 'deposit.safetensors'
    describe_deposit(cfg, joint, path)
    return path


@pytest.mark.parametrize('name', [path.stem for path in sorted(FOLDER.glob('*.py'))])
def test_what_a_config_resolves_to_is_read_again(name, base, tmp_path):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    if 'base' in cfg:
        cfg.base = str(base)
    resolved = resolve_joint_config(cfg, check_files=False)
    resolved.dump(tmp_path / 'resolved.py')
    read = Config.fromfile(tmp_path / 'resolved.py')
    assert resolve_joint_config(read, check_files=False).to_dict() == resolved.to_dict()


def test_boxes_are_cut_out_as_mmcv_cuts_them_out():
    settings = Config.fromfile(FOLDER / 'tasks' / 'det.py').roi_layer
    assert settings.pop('type') == 'RoIAlign' and settings['use_torchvision']
    draw = torch.Generator().manual_seed(0)
    image = torch.randint(2, (40, 1), generator=draw)
    corner, size = (torch.rand(40, 2, generator=draw) * most for most in (40, 20))
    boxes = torch.cat([image, corner, corner + size], 1)
    maps, found = torch.randn(2, 4, 12, 12, generator=draw), []
    for torchvision in (True, False):
        layer = RoIAlign(spatial_scale=1 / 4, **dict(settings, use_torchvision=torchvision))
        own = maps.clone().requires_grad_()
        cut = layer(own, boxes)
        cut.square().sum().backward()
        found.append((cut, own.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
