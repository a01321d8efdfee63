"""The elements in the file are those that the ledger counts, each once."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from deposits import SHARINGS, pack_joint
from helpers import TASKS, build_model, joint_config, random_joint
from safetensors import safe_open

from mdl_nas_mm.deposit.regions import mask_bits, region_of
from mdl_nas_mm.deposit.segments import Block, Segments, lay_out
from mdl_nas_mm.spec import JointSpec, Ledger, Owners, footprint
from mdl_nas_mm.spec.owners import owners_of
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


def check(ledger, joint):
    """Sizes by owner, against the ledger; and which elements they are, against the footprint."""
    layout, sharing = ledger.layout, ledger.sharing
    regions = {
        task: region_of(task, spec, layout, sharing, mask_bits(ledger, spec), ledger.owner_sets)
        for task, spec in joint.items()
    }
    segments = lay_out([tuple(regions.values())])
    counts = ledger.count(joint)
    of_some = {label: n for label, n in counts.specific.items() if label not in joint}
    assert sum(segments.sizes.values()) == counts.shared + sum(of_some.values()), joint
    rows = {name: len(p.rows) for r in regions.values() for (name, _), p in r.parts.items()}
    found = segments.lengths(segments.sizes, rows)
    expected = footprint(ledger, joint.items())
    alone = {Owners.of(task) for task in joint}
    expected = {k: v for k, v in expected.items() if owners_of(k[0]) not in alone and v.any()}
    assert found.keys() == expected.keys()
    for name, lengths in found.items():
        assert (lengths == expected[name]).all(), (name, joint)
    for task, region in regions.items():
        own = sum(part.size for part in region.own)
        assert own == counts.specific[task], joint


@pytest.mark.parametrize(('build', 'joints'), [(build, 15), (build_swin, 8)], ids=BUILDERS)
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_stored_elements_are_those_of_the_ledger(data, build, joints, sharing):
    _, model = build(data, sharing)
    ledger, rng = model.backbone.ledger(), random.Random(0)
    for _ in range(joints):
        check(ledger, random_joint(model, rng))


@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_what_some_tasks_own_is_stored_once(data, sharing):
    """Every other layer of two of the tasks."""
    _, model = build(data, sharing)
    own, rng = model.backbone.ledger(), random.Random(4)
    layers = list(dict.fromkeys(use.layer for use in own.layout.uses(own.layout.space.largest())))
    sets = {layer: (Owners.of(*rng.sample(TASKS, 2)),) for layer in layers[::2]}
    ledger = Ledger(own.layout, own.sharing, own.scores, owner_sets=sets)
    for _ in range(8):
        check(ledger, random_joint(model, rng))


@pytest.mark.slow
@all_backbones
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_stored_elements_of_a_thousand_joint_specs(data, build, sharing):
    """As many as the design asks for, over supernets with different scores."""
    for seed in range(4):
        _, model = build(data, sharing, seed)
        ledger, rng = model.backbone.ledger(), random.Random(seed)
        for _ in range(250):
            check(ledger, random_joint(model, rng))


@all_backbones
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_file_has_these_elements_and_the_heads(data, build, sharing, tmp_path):
    cfg, model = build(data, sharing)
    rng, path = random.Random(1), tmp_path / 'a.safetensors'
    for _ in range(3):
        counts = pack_joint(path, cfg, model, random_joint(model, rng))
        sizes = dict(shared=0, specific=0, head=0, mask=0, scores=0)
        with safe_open(path, 'pt') as file:
            for name in file.keys():
                sizes[name.split('/')[0]] += file.get_tensor(name).numel()
        assert sizes['shared'] + sizes['specific'] == counts.backbone_total
        assert sizes['head'] == sum(counts.heads.values()) == sum(model.head_sizes().values())
        assert counts.total == counts.backbone_total + sizes['head'] < counts.separate
        # A score a channel, for all tasks together; and a bit for each.
        scores = model.backbone.scores()
        assert sizes['scores'] == sum(map(len, scores.values()))
        assert sizes['scores'] < counts.backbone_total / 10
        assert (sizes['mask'] > 0) == bool(scores)
        assert sizes['mask'] < counts.backbone_total / 50


def test_one_architecture_for_all_is_stored_once_where_all_is_shared(data):
    _, model = build(data, 'AllShared')
    spec, ledger = model.backbone.space.sample(random.Random(0)), model.backbone.ledger()
    joint = JointSpec(dict.fromkeys(TASKS, spec))
    check(ledger, joint)
    assert ledger.count(joint).backbone_total == ledger.params(spec)


def test_what_stands_in_front_of_a_kept_segment_is_kept():
    """Segment x is used for another parameter; in front of it is y, and of that in turn z."""

    def block(segment, row, start):
        return Block(segment, np.array([row]), start, start + 4, 0)

    first, second, third = ((name, 0) for name in ('first', 'second', 'third'))
    blocks = {
        first: [block('z', 5, 0), block('y', 5, 4), block('v', 6, 0)],
        second: [block('y', 2, 0), block('x', 2, 4), block('w', 2, 8)],
        third: [block('x', 0, 0)],
    }
    segments = Segments(blocks, dict.fromkeys('vwxyz', 4))
    region = SimpleNamespace(label='x', parts={third: None}, earlier=frozenset())
    assert segments.used_by(region) == {'x'}
    assert segments.needed_by([region], 'vwxyz') == set('xyz')
    assert segments.needed_by([region], 'vwxz') == {'x'}
    assert segments.needed_by([region], 'wxy') == set('xy')
