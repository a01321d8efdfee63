"""Slimmable decoders are as wide as what a narrow encoder gives them."""

import random

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from helpers import build_model, data, quick_mmengine  # noqa: F401
from mmseg.models.decode_heads import FCNHead
from refusals import raises_naming
from slim_joint import CHANNELS, SPACE, slim_config

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families.slimmable import widths, with_widths
from mdl_nas_mm.methods.ecmt.costs import multiply_adds, parameters
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.spec import BatchLedger, JointSpec, footprint
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import PartFlops, weightless

SIZE = (64, 48)
CLASSES, SEGMENTS = 10, 11
# Places of the encoder's ratios: the outputs of its last two stages.
STAGES = ('layer3', 'layer4')


def config(data, tmp_path, kind):  # noqa: F811
    """Both decoders; that of segmentation looks at one map or at two."""
    cfg = slim_config(data, tmp_path)
    if kind == 'FCN of two maps':
        cfg.tasks.seg.model.decode_head.update(
            type='mdl_nas_mm.ElasticFCNHead',
            in_channels=[CHANNELS // 2, CHANNELS],
            in_index=[0, 1],
            input_transform='resize_concat',
            num_convs=1,
        )
        cfg.tasks.seg.model.decode_head.pop('dilations')
    return cfg


@pytest.fixture(scope='module', params=['ASPP', 'FCN of two maps'])
def kind(request):
    return request.param


@pytest.fixture(scope='module')
def model(kind, data, quick_mmengine, tmp_path_factory):  # noqa: F811
    cfg = resolve_joint_config(config(data, tmp_path_factory.mktemp('narrow'), kind))
    model, generator = build_model(cfg).eval(), torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.dtype.is_floating_point:
            value.normal_(0, 0.2, generator=generator)
    return model


def sampled(model, rng):
    """Both tasks with one encoder."""
    seg = model.spaces['seg'].sample(rng)
    return JointSpec(dict(seg=seg, cls=model.spaces['cls'].sample(rng).with_root(seg.root)))


def images():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def encoder_widths(model, spec):
    """Channels of the last two stages, by their ratios."""
    ratios = dict(zip(model.backbone.shape.widths(), widths(spec.root)))
    return [int(ratios[name] * CHANNELS * scale) for name, scale in zip(STAGES, (0.5, 1))]


def heads_by_hand(model, joint):
    """Elements of both decoders, layer by layer."""
    third, fourth = encoder_widths(model, joint['seg'])
    features = int(widths(joint['cls'])[-1] * fourth + 0.5)
    own = [int(ratio * 8 + 0.5) for ratio in widths(joint['seg'].part('seg.decode_head'))]
    if len(own) == 2:
        first, last = own
        inputs = third + fourth
        seg = 9 * inputs * first + 9 * (inputs + first) * last
    else:
        *branches, last = own
        pool, one, three = branches
        seg = fourth * (pool + one + 9 * three) + 9 * sum(branches) * last
    seg += 2 * sum(own) + last * SEGMENTS + SEGMENTS
    return dict(cls=features * CLASSES + CLASSES, seg=seg)


def head_of(model, task):
    return model.head if task == 'cls' else model.decode_head


def test_counts_are_the_elements_of_1000_architectures(model):
    rng = random.Random(0)
    joints = [sampled(model, rng) for _ in range(1000)]
    ledger = model.supernet.ledger(model.head_sizes())
    counts = [ledger.count(joint) for joint in joints]
    for joint, found in zip(joints, counts):
        assert found.heads == heads_by_hand(model, joint)
    assert BatchLedger(ledger).totals(joints).tolist() == [found.total for found in counts]
    for joint, found in zip(joints[:3], counts):
        for task, spec in joint.items():
            head = head_of(model.subnet(task, spec), task)
            assert sum(p.numel() for p in head.parameters()) == found.heads[task]
            used = footprint(ledger, [(task, spec)])
            lengths = [n.sum() for (name, _), n in used.items() if name.startswith('tasks.')]
            assert sum(lengths) == found.heads[task]
    assert len({found.heads['seg'] for found in counts}) > 20


@torch.no_grad()
def test_a_subnet_is_the_plain_model_of_its_slices(model):
    rng = random.Random(1)
    for _ in range(4):
        for task, spec in sampled(model, rng).items():
            with activate(task, spec):
                inside = model.tasks[task](images(), mode='tensor')
            plain = model.subnet(task, spec)(images(), mode='tensor')
            torch.testing.assert_close(plain, inside, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_it_equals_a_wide_head_on_maps_with_zeros(model, kind):
    """So upstream's head answers that has the columns which nothing goes into."""
    if kind == 'ASPP':
        pytest.skip('one kind is enough')
    head = model.tasks.seg.decode_head
    upstream = FCNHead(
        in_channels=[CHANNELS // 2, CHANNELS],
        in_index=[0, 1],
        input_transform='resize_concat',
        num_convs=1,
        channels=8,
        num_classes=SEGMENTS,
        norm_cfg=dict(type='BN'),
        align_corners=False,
    ).eval()
    upstream.load_state_dict(head.state_dict())
    largest = model.spaces['seg'].largest()
    narrow = with_widths(largest.root, (0.5,) * len(widths(largest.root)))
    spec = largest.with_root(narrow)
    features = model.features('seg', spec, images())
    assert [x.shape[1] for x in features] == [CHANNELS // 2, CHANNELS]
    with activate('seg', spec):
        torch.testing.assert_close(head(features), upstream(features), rtol=1e-5, atol=1e-5)


def test_columns_of_unused_channels_get_no_gradient(model):
    spec = model.spaces['seg'].smallest()
    with activate('seg', spec):
        model.tasks.seg(images(), mode='tensor').sum().backward()
    used = footprint(model.supernet.ledger(), [('seg', spec)])
    for name, parameter in model.named_parameters():
        if name.startswith('tasks.seg.'):
            size = sum(int(lengths.sum()) for (of, _), lengths in used.items() if of == name)
            assert int((parameter.grad != 0).sum()) <= size
            assert size < parameter.numel() or name.endswith('conv_seg.bias')
    model.zero_grad(set_to_none=True)


def test_multiply_adds_are_fvcores(model, kind, data, tmp_path):  # noqa: F811
    shadow = weightless(resolve_joint_config(config(data, tmp_path, kind)).model).eval()
    columns, counts = JointColumns(model.spaces), PartFlops(lambda: shadow)
    costs = [multiply_adds(shadow, columns, dict.fromkeys(model.spaces, SIZE))]
    costs.append(parameters(shadow, columns))
    rng, ledger = random.Random(2), model.supernet.ledger(model.head_sizes())
    for _ in range(3):
        joint = sampled(model, rng)
        heads = 0
        for task, spec in joint.items():
            plain = model.subnet(task, spec)
            features = plain.extract_feat(images()[:1])
            counter = FlopCountAnalysis(head_of(plain, task), (features,))
            counter = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            by_operator = counter.by_operator()
            own = by_operator['conv'] + by_operator['linear']
            assert counts(task, spec, SIZE) == pytest.approx(own, rel=0.01)
            heads += own
        row = columns.row(joint)[None]
        encoder = model.backbone.flops('seg', joint['seg'], SIZE)
        assert costs[0](row)[0] == pytest.approx(encoder + heads, rel=0.01)
        assert costs[1](row)[0] == ledger.count(joint).total


def test_a_ratio_that_leaves_nothing_of_a_narrow_encoder(data, tmp_path):  # noqa: F811
    cfg = slim_config(data, tmp_path)
    cfg.backbone.space = dict(width_ratio=(0.1, 1.0))
    cfg.backbone.update(base_channels=8, stem_channels=8)
    cfg.tasks.cls.model.head.space = dict(width_ratio=(0.05, 1.0))
    with raises_naming(ValueError, 'features', 6):
        build_model(resolve_joint_config(cfg))
    cfg.tasks.cls.model.head.space = SPACE
    build_model(resolve_joint_config(cfg))


@torch.no_grad()
@pytest.mark.parametrize('ratio', [(0.5, 1.0), 1.0], ids=['slimmable', 'of one width'])
def test_fewer_channels_than_the_encoder_gives_are_refused(data, tmp_path, ratio):  # noqa: F811
    """A weight has no columns for the others; torch would read those of the next row."""
    cfg = slim_config(data, tmp_path)
    for task, head in (('cls', 'head'), ('seg', 'decode_head')):
        cfg.tasks[task].model[head].update(in_channels=CHANNELS - 8, space=dict(width_ratio=ratio))
    model = build_model(resolve_joint_config(cfg)).eval()
    for task, upstream in model.tasks.items():
        spec = model.spaces[task].largest()
        with raises_naming(ValueError, 'in_channels', CHANNELS - 8, CHANNELS):
            with activate(task, spec):
                upstream(images(), mode='tensor')
