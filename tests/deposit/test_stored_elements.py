"""The elements in the file are those that the ledger counts, each once."""

import random

import pytest
import torch
from deposits import SHARINGS, pack_joint
from helpers import TASKS, build_model, joint_config, random_joint
from safetensors import safe_open

from mdl_nas_mm.deposit.pack import _backbone_tensors
from mdl_nas_mm.deposit.rows import cut_rows, paste_rows
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

SPACE = dict(
    embed_dim=(12, 20, 24),
    depth=(1, 2, 3),
    num_heads=[(1, 3), (2,), (1, 2, 3)],
    mlp_ratio=(0.5, 1.3, 2),
    attn_share_ratio=(0, 0.25, 0.5, 1),
    ffn_share_ratio=(0, 0.4, 0.9),
)


SWIN_SPACE = [
    dict(SPACE, embed_dim=widths, depth=(1, 2), num_heads=heads, per_stage=True)
    for widths, heads in [((12, 16), (1, 2)), ((20, 24), (2, 3))]
]


def build(data, sharing, seed=0):
    cfg = joint_config(data, sharing)
    cfg.backbone.space = SPACE
    cfg = resolve_joint_config(cfg)
    return cfg, build_model(cfg, seed)


def build_swin(data, sharing, seed=0):
    """The same tasks on a Swin of two stages, the segmentor's maps being those of both."""
    cfg = joint_config(data, sharing)
    cfg.backbone = dict(
        type='ElasticSwin',
        space=SWIN_SPACE,
        sharing=sharing,
        patch_size=4,
        head_dim=4,
        window_size=(3, 2),
        pad_small_map=True,
    )
    for task, indices in dict(cls=(1,), det=(1,), seg=(0, 1)).items():
        cfg.tasks[task].backbone = dict(out_indices=indices)
    cfg.tasks.seg.model.decode_head.in_channels = [16, 24]
    cfg = resolve_joint_config(cfg)
    return cfg, build_model(cfg, seed)


BUILDERS = {'ViT': build, 'Swin': build_swin}
all_backbones = pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)


def check(model, ledger, joint):
    """Sizes by owner, against the ledger."""
    sizes = dict.fromkeys(('shared', *joint), 0)
    for name, tensor in _backbone_tensors(model, joint, ledger).items():
        if name.startswith('backbone/'):
            owners = [task for task in joint if f'.specific.{task}.' in name]
            sizes[owners[0] if owners else 'shared'] += tensor.numel()
    counts = ledger.count(joint)
    assert sizes == dict(counts.specific, shared=counts.shared), joint
    assert sum(sizes.values()) == counts.backbone_total


@pytest.mark.parametrize(('build', 'joints'), [(build, 100), (build_swin, 30)], ids=BUILDERS)
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_stored_elements_are_those_of_the_ledger(data, build, joints, sharing):
    _, model = build(data, sharing)
    ledger, rng = model.backbone.ledger(), random.Random(0)
    for _ in range(joints):
        check(model, ledger, random_joint(model, rng))


@pytest.mark.slow
@all_backbones
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_stored_elements_of_a_thousand_joint_specs(data, build, sharing):
    """As many as the design asks for, over supernets with different scores."""
    for seed in range(4):
        _, model = build(data, sharing, seed)
        ledger, rng = model.backbone.ledger(), random.Random(seed)
        for _ in range(250):
            check(model, ledger, random_joint(model, rng))


@all_backbones
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_file_has_these_elements_and_the_heads(data, build, sharing, tmp_path):
    cfg, model = build(data, sharing)
    rng, path = random.Random(1), tmp_path / 'a.safetensors'
    for _ in range(3):
        counts = pack_joint(path, cfg, model, random_joint(model, rng))
        sizes = dict(backbone=0, head=0, mask=0)
        with safe_open(path, 'pt') as file:
            for name in file.keys():
                sizes[name.split('/')[0]] += file.get_tensor(name).numel()
        assert sizes['backbone'] == counts.backbone_total
        assert sizes['head'] == sum(counts.heads.values()) == sum(model.head_sizes().values())
        assert counts.total == sizes['backbone'] + sizes['head'] < counts.separate
        # A bit a channel, not a score.
        assert (sizes['mask'] > 0) == any(
            'Mask' in str(p) for p in vars(model.backbone.sharing).values()
        )
        assert sizes['mask'] < counts.backbone_total / 50


def test_one_architecture_for_all_is_stored_once_where_all_is_shared(data):
    _, model = build(data, 'AllShared')
    spec, ledger = model.backbone.space.sample(random.Random(0)), model.backbone.ledger()
    joint = JointSpec(dict.fromkeys(TASKS, spec))
    check(model, ledger, joint)
    assert ledger.count(joint).backbone_total == ledger.params(spec)


def test_rows_come_back():
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 2, 3, generator=rng)
    lengths = torch.tensor([6, 0, 2, 6, 4]).numpy()
    flat = cut_rows(weight, lengths)
    rows = weight.reshape(5, 6)
    assert torch.equal(flat, torch.cat([row[:n] for row, n in zip(rows, lengths)]))
    found = paste_rows(flat, lengths, torch.tensor([0, 3, 4]).numpy(), columns=4)
    assert torch.equal(found, rows[[0, 3, 4], :4])
