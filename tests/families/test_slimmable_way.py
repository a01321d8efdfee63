"""A slimmable encoder and slimmable decoders: trained, searched, deposited, taken out."""

import pytest
import torch
from helpers import build_runner, data, quick_mmengine  # noqa: F401
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from slim_joint import CHANNELS, slim_config

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.deposit import Deposit, extract, verify
from mdl_nas_mm.deposit.load_tasks import load_tasks
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families.slimmable import widths, with_widths
from mdl_nas_mm.search import run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope


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
    supernet_counts = model.supernet.ledger(model.head_sizes()).count(joint)
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
        # The decoders have no weights for channels that the encoder does not give.
        heads = [each.head if task == 'cls' else each.decode_head for each in (loaded, extracted)]
        for head in heads:
            size = sum(parameter.numel() for parameter in head.parameters())
            assert size == opened.counts.heads[task] == supernet_counts.heads[task]
            torch.testing.assert_close(head(expected), heads[0](expected))


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
