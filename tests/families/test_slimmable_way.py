"""A slimmable encoder and slimmable decoders: trained, searched, deposited, taken out."""

import pytest
import torch
from helpers import build_runner, data, joint_config, only, quick_mmengine  # noqa: F401
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.deposit import Deposit, extract, verify
from mdl_nas_mm.deposit.load_tasks import load_tasks
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families.slimmable import widths, with_widths
from mdl_nas_mm.search import run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

SPACE = dict(width_ratio=(0.5, 0.75, 1.0))
CHANNELS = 64


def slim_config(data, folder):  # noqa: F811
    """Two tiny tasks, four steps, with batch norms that are estimated for each architecture."""
    cfg = only(joint_config(data), 'cls', 'seg')
    cfg.backbone = dict(
        type='ElasticResNet', depth=18, space=SPACE, base_channels=8, stem_channels=8
    )
    cfg.tasks.cls.backbone = dict(out_indices=(3,))
    cfg.tasks.seg.backbone = dict(out_indices=(2, 3))
    cfg.tasks.cls.model.neck = dict(type='GlobalAveragePooling')
    cfg.tasks.cls.model.head.in_channels = CHANNELS
    cfg.tasks.cls.model.head.update(type='mdl_nas_mm.ElasticLinearClsHead', space=SPACE)
    cfg.tasks.seg.model.decode_head = dict(
        _delete_=True,
        type='mdl_nas_mm.ElasticASPPHead',
        space=SPACE,
        in_channels=CHANNELS,
        in_index=-1,
        channels=8,
        dilations=(1, 2),
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    cfg.recalibrate_images = 4
    cfg.train_cfg.update(max_iters=2, sampler=dict(type='SandwichSampler', num_random=1))
    cfg.search_cfg = dict(
        budget='1G',
        evolution=dict(population=2, generations=1, parents=1, crossovers=1, mutations=1),
    )
    cfg.work_dir = str(folder)
    return cfg


@pytest.fixture(scope='module')
def way(data, quick_mmengine, tmp_path_factory):  # noqa: F811
    """The supernet, the joint spec that a search found, and the folder."""
    folder = tmp_path_factory.mktemp('slim')
    build_runner(slim_config(data, folder), folder).train()
    supernet = resolve_joint_config(slim_config(data, folder)), folder / 'iter_2.pth'
    return supernet, run_search(*supernet, folder / 'search').best, folder


def images():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_a_search_chooses_for_encoder_and_decoders(way):
    _, joint, _ = way
    assert len(widths(joint['cls'])) == 12 + 1 and len(widths(joint['seg'])) == 12 + 4


@torch.no_grad()
def test_a_deposit_has_the_statistics_of_each_task(way):
    supernet, joint, folder = way
    path = folder / 'slim.safetensors'
    save_deposit(*supernet, joint, path)
    assert all(verify(path).values())
    model, opened, together = load_supernet(*supernet).eval(), Deposit(path), load_tasks(path)
    for task, spec in joint.items():
        loaded = opened.load_task(task)
        subnet = model.subnet(task, spec)
        for name, weight in subnet.backbone.named_parameters():
            assert torch.equal(loaded.backbone.get_parameter(name), weight)
        # Estimated for this architecture, and not those of training.
        norm = loaded.backbone.bn1
        assert norm.num_batches_tracked > 0
        assert not torch.equal(norm.running_mean, subnet.backbone.bn1.running_mean)
        expected = loaded.extract_feat(images())
        for one, other in zip(expected, together[task].extract_feat(images())):
            torch.testing.assert_close(one, other)
        cfg = Config.fromfile(extract(path, task, folder))
        with task_scope(cfg.default_scope):
            extracted = MODELS.build(cfg.model).eval()
        load_checkpoint(extracted, cfg.load_from, 'cpu', strict=True, logger='silent')
        for one, other in zip(expected, extracted.extract_feat(images())):
            assert torch.equal(one, other)


@torch.no_grad()
def test_equal_ratios_are_taken_out_as_upstreams_classes(way):
    supernet, joint, folder = way
    path = folder / 'uniform.safetensors'
    half = with_widths(joint['seg'], (0.5,) * 16)
    cls = with_widths(joint['cls'], (0.5,) * 12 + (1.0,))
    save_deposit(*supernet, JointSpec(dict(cls=cls, seg=half)), path)
    kinds = {}
    for task in ('cls', 'seg'):
        cfg = Config.fromfile(extract(path, task, folder / 'stock', stock=True))
        head = cfg.model.get('head') or cfg.model.decode_head
        kinds[task] = cfg.model.backbone.type, head.type
        assert (cfg.model.backbone.base_channels, head.in_channels) == (4, CHANNELS // 2)
    assert kinds == dict(cls=('ResNet', 'LinearClsHead'), seg=('ResNet', 'ASPPHead'))
