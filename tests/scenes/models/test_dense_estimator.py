"""The dense model with every target, on backbones of all kinds, and what it does with sizes."""

import math

import pytest
import torch
from dense_models import BACKBONES, GN, build, fcn, run, sample
from mmengine.config import ConfigDict
from refusals import raises_naming
from torch.nn import functional as F

from mdl_nas_mm.scenes.models import DepthTarget

SIZES = [(37, 51), (41, 45)]


def target(name, **settings):
    return dict(type=f'mdl_nas_mm.{name}', **settings)


def unit_vectors(size):
    return F.normalize(torch.randn(3, *size), dim=0)


# Target, and how a label of it is made.
MAPS = {
    'depth': (target('DepthTarget'), 'depth_map', lambda size: torch.rand(1, *size) + 1),
    'normals': (target('NormalsTarget'), 'normals', unit_vectors),
    'edges': (target('EdgesTarget'), 'edges', lambda size: torch.rand(1, *size).round()),
    'saliency': (target('SaliencyTarget'), 'saliency', lambda size: torch.rand(1, *size).round()),
    'curvature': (
        target('RegressionTarget', channels=2, loss=target('MaskedL2Loss')),
        'regression',
        lambda size: torch.rand(2, *size),
    ),
}
SEGMENTS = (
    target('EmbeddingTarget', channels=4),
    'sem_seg',
    lambda size: torch.randint(3, (1, *size)),
)
POINTS = {
    'classes': (
        target('SoftLabelTarget', channels=7),
        'point',
        lambda size: torch.rand(7).softmax(0),
    ),
    'vanishing points': (
        target('VectorTarget'),
        'point',
        lambda size: torch.randn(9),
    ),
}
ALL = {**MAPS, 'segments': SEGMENTS, **POINTS}


def samples_of(kind, sizes=SIZES, **meta):
    _, key, label = ALL[kind]
    torch.manual_seed(2)
    return [sample(size, meta, **{f'gt_{key}': label(size)}) for size in sizes]


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


@pytest.mark.parametrize('kind', ALL)
@pytest.mark.parametrize('backbone', BACKBONES)
def test_it_is_trained_and_predicts_at_the_size_of_the_image(kind, backbone):
    model = build(ALL[kind][0], backbone)
    loss = total(run(model, SIZES, samples_of(kind), 'loss'))
    loss.backward()
    assert loss > 0
    for name, parameter in model.named_parameters():
        # Swin has a norm of each map, and the head reads the last one.
        unused = name.startswith('backbone.norm0.')
        assert unused or parameter.grad.isfinite().all(), name
    # One image after the other, loaded with another size than the model sees.
    model.eval()
    original = (23, 31)
    (found,) = run(model, [(37, 51)], samples_of(kind, [(37, 51)], ori_shape=original), 'predict')
    prediction = found.get(model.target.prediction).data
    channels = model.target.channels
    assert prediction.shape == (channels, *(original if kind not in POINTS else ()))
    assert prediction.isfinite().all()
    (logits,) = run(model, [(37, 51)], None, 'tensor')
    assert logits.shape[0] == channels


def test_without_samples_it_predicts_too():
    model = build(ALL['normals'][0]).eval()
    (found,) = run(model, [(37, 51)], None, 'predict')
    assert found.get('pred_normals').data.shape == (3, 37, 51)


def ones(value):
    """A head whose logits are these everywhere, on the smallest map."""

    class Constant(torch.nn.Module):
        align_corners, num_classes, out_channels = False, len(value), len(value)

        def forward(self, features):
            size = features[-1].shape
            return torch.tensor(value)[None, :, None, None].expand(size[0], -1, *size[2:])

    return Constant()


class TestPadding:
    def test_labels_of_padding_do_not_count(self):
        """Upstream pads depth with 255; the images are padded to 48 x 64."""
        model = build(ALL['depth'][0])
        model.decode_head = ones([3.0])
        label = [torch.full((1, *size), 1.0 + i) for i, size in enumerate(SIZES)]
        samples = [sample(size, gt_depth_map=each) for size, each in zip(SIZES, label)]
        images = [torch.zeros(3, *size) for size in SIZES]
        data = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
        assert data['data_samples'][0].gt_depth_map.data.max() == 255
        assert model(**data, mode='loss')['decode.loss_l1'].item() == pytest.approx((2 + 1) / 2)

    def test_labels_that_upstream_does_not_pad_are_used_all_the_same(self):
        model = build(ALL['curvature'][0])
        model.decode_head = ones([1.0, 2.0])
        label = [torch.full((2, *size), 0.0) for size in SIZES]
        samples = [sample(size, gt_regression=each) for size, each in zip(SIZES, label)]
        assert run(model, SIZES, samples, 'loss')['decode.loss_l2'].item() == (1 + 4) / 2

    def test_the_label_is_at_its_place_in_a_padded_image(self):
        """Logits that are 1 in the image's left half alone, as is the label."""
        model = build(ALL['curvature'][0])

        class Half(torch.nn.Module):
            align_corners, num_classes, out_channels = False, 2, 2

            def forward(self, features):
                logits = torch.zeros(2, 2, 48, 64)
                logits[0, :, :, :20] = 1
                logits[1, :, :, :30] = 1
                return logits

        model.decode_head = Half()
        label = [torch.zeros(2, *size) for size in SIZES]
        label[0][..., :20] = 1
        label[1][..., :30] = 1
        samples = [sample(size, gt_regression=each) for size, each in zip(SIZES, label)]
        assert run(model, SIZES, samples, 'loss')['decode.loss_l2'] == 0

    def test_padding_is_cut_off_a_prediction(self):
        model = build(ALL['curvature'][0]).eval()
        logits = torch.zeros(1, 2, 8, 10)
        logits[..., 1:7, 2:7] = torch.arange(30.0).reshape(6, 5)
        meta = dict(img_padding_size=(2, 3, 1, 1), ori_shape=(6, 5))
        (found,) = model.postprocess_result(logits, [sample((8, 10), meta)])
        assert torch.equal(found.pred_regression.data, logits[0, :, 1:7, 2:7])


@pytest.mark.parametrize(('direction', 'axis'), [('horizontal', 0), ('vertical', 1)])
def test_the_prediction_of_a_flipped_image_is_flipped_back(direction, axis):
    """Normals too, whose x or y has the other sign in a mirror."""
    model = build(ALL['normals'][0]).eval()
    logits = torch.randn(1, 3, 6, 5)
    (plain,) = model.postprocess_result(logits, [sample((6, 5))])
    mirrored = logits.flip(dict(horizontal=3, vertical=2)[direction]).clone()
    mirrored[:, axis] *= -1
    meta = dict(flip=True, flip_direction=direction)
    (found,) = model.postprocess_result(mirrored, [sample((6, 5), meta)])
    torch.testing.assert_close(found.pred_normals.data, plain.pred_normals.data)


def test_normals_are_of_length_one_after_resizing():
    model = build(ALL['normals'][0]).eval()
    logits = torch.tensor([[1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]).reshape(1, 3, 1, 2)
    (found,) = model.postprocess_result(logits, [sample((1, 2), dict(ori_shape=(1, 4)))])
    normals = found.pred_normals.data
    torch.testing.assert_close(normals.norm(dim=0), torch.ones(1, 4))
    expected = F.normalize(torch.tensor([[1.0, 0.5, -0.5, -1.0], [0] * 4, [1.0] * 4]), dim=0)
    torch.testing.assert_close(normals[:, 0], expected)


def test_slide_mode_sees_the_image_in_windows():
    """The mean of overlapping windows; with windows as large as the image, the image."""
    torch.manual_seed(0)
    whole = build(ALL['depth'][0]).eval()
    size = (40, 56)
    prediction = lambda model: run(model, [size], [sample(size)], 'predict')[0].pred_depth_map.data  # noqa: E731
    slide = ConfigDict(mode='slide', crop_size=size, stride=size)
    same = build(ALL['depth'][0], test_cfg=slide).eval()
    torch.testing.assert_close(prediction(same), prediction(whole))
    windows = ConfigDict(mode='slide', crop_size=(24, 24), stride=(16, 16))
    assert prediction(build(ALL['depth'][0], test_cfg=windows).eval()).shape == (1, *size)
    with pytest.raises(ValueError, match='slide'):
        build(ALL['classes'][0], test_cfg=windows)


@pytest.mark.parametrize('kind', ALL)
def test_a_batch_without_any_label_has_loss_zero_and_a_gradient(kind):
    model = build(ALL[kind][0])
    samples = samples_of(kind)
    none = dict(depth_map=0, normals=0, edges=255, saliency=255, sem_seg=255)
    for each in samples:
        label = each.get(model.target.label).data
        label.fill_(none.get(ALL[kind][1], math.nan))
    loss = total(run(model, SIZES, samples, 'loss'))
    loss.backward()
    assert loss == 0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name


@pytest.mark.parametrize('kind', MAPS)
def test_a_batch_is_the_mean_of_its_parts(kind):
    """Whatever processes it is split over, and however many pixels of each are labelled."""
    model = build(ALL[kind][0]).eval()
    samples = samples_of(kind, [(32, 48)] * 3)
    none = dict(depth_map=0, normals=0, edges=255, saliency=255)
    for i, each in enumerate(samples):
        each.get(model.target.label).data[:, : 16 * i] = none.get(ALL[kind][1], math.nan)
    images = torch.randn(3, 3, 32, 48)
    parts = [model.loss(images[i : i + 1], samples[i : i + 1]) for i in range(3)]
    together = model.loss(images, samples)
    expected = torch.stack([total(part) for part in parts]).mean()
    torch.testing.assert_close(total(together), expected)


def test_upstreams_loss_of_depth():
    """Per image, as upstream averages it; an image without depth counts as zero."""
    loss = [dict(type='SiLogLoss'), target('MaskedL1Loss', loss_weight=0.1)]
    model = build(target('DepthTarget', activation='exp', loss=loss))
    model.decode_head = ones([math.log(2.0)])
    depth = torch.tensor([1.0, 4.0]).repeat(16)[None, None].repeat(1, 32, 1)
    samples = [sample((32, 32), gt_depth_map=each) for each in (depth, torch.zeros_like(depth))]
    losses = run(model, [(32, 32)] * 2, samples, 'loss')
    # log 2 too far and too near: the mean of squares is log(2)^2, the mean is 0.
    assert losses['decode.loss_silog'].item() == pytest.approx(math.log(2) / 2, rel=1e-4)
    assert losses['decode.loss_l1'].item() == pytest.approx(0.1 * (1 + 2) / 2 / 2)


def test_auxiliary_heads_learn_the_same():
    model = build(ALL['edges'][0], auxiliary_head=fcn((8,)), auxiliary_weight=0.25)
    model.decode_head, model.auxiliary_head[0] = ones([1.0]), ones([1.0])
    losses = run(model, SIZES, samples_of('edges'), 'loss')
    assert losses.keys() == {'decode.loss_bce', 'aux_0.loss_bce'}
    assert losses['aux_0.loss_bce'] == 0.25 * losses['decode.loss_bce']


def test_the_activations_of_depth():
    size, logits = (4, 4), torch.full((1, 1, 4, 4), -1.0)
    expected = dict(
        linear=1e-3, softplus=math.log1p(math.exp(-1)), exp=math.exp(-1), sigmoid=10 / (1 + math.e)
    )
    for name, depth in expected.items():
        model = build(target('DepthTarget', activation=name, max_depth=10.0)).eval()
        (found,) = model.postprocess_result(logits, [sample(size)])
        assert found.pred_depth_map.data.flatten()[0].item() == pytest.approx(depth), name
    far = DepthTarget('linear', max_depth=10.0).predict(torch.tensor([9.0, 11.0]))
    assert far.tolist() == [9, 10]
    with pytest.raises(ValueError, match='sigmoid'):
        build(target('DepthTarget', activation='sigmoid'))
    for depths in (dict(max_depth=0), dict(min_depth=2.0, max_depth=1.0), dict(max_depth='10')):
        with raises_naming(ValueError, 'DepthTarget', 'max_depth', repr(depths['max_depth'])):
            DepthTarget(**depths)


def test_distances_are_learned_on_a_log_scale():
    """As a regression, whose label is nan where there is none."""
    loss = target('LogDepthLoss')
    model = build(target('RegressionTarget', channels=1, activation='exp', loss=loss))
    model.decode_head, label = ones([0.5]), torch.full((1, 4, 4), 2.0)
    label[:, 0] = torch.nan
    losses = run(model, [(4, 4)], [sample((4, 4), gt_regression=label)], 'loss')
    assert losses['decode.loss_log'].item() == pytest.approx(math.log(2) - 0.5, rel=1e-6)
    (found,) = model.eval().postprocess_result(torch.full((1, 1, 4, 4), 0.5), [sample((4, 4))])
    assert found.pred_regression.data[0, 0, 0].item() == pytest.approx(math.exp(0.5))
    with pytest.raises(ValueError, match="RegressionTarget.*'log'.*exp"):
        build(target('RegressionTarget', channels=1, activation='log'))


def test_what_is_wrong_with_labels_is_said_in_a_line():
    model = build(ALL['depth'][0])
    with pytest.raises(ValueError, match="a/b.jpg: .*'gt_depth_map'.*DepthTarget"):
        run(model, SIZES[:1], [sample(SIZES[0], dict(img_path='a/b.jpg'))], 'loss')
    samples = [sample((16, 16), gt_depth_map=torch.ones(1, side, 16)) for side in (20, 24)]
    with pytest.raises(ValueError, match="'gt_depth_map'.*20, 16.*24, 16"):
        run(model, [(16, 16)] * 2, samples, 'loss')
    with pytest.raises(ValueError, match="'gt_regression' has 3 channels.*RegressionTarget.* 2"):
        wrong = sample((16, 16), gt_regression=torch.ones(3, 16, 16))
        run(build(ALL['curvature'][0]), [(16, 16)], [wrong], 'loss')


def test_a_label_of_another_size_than_the_image_is_compared_at_its_own():
    model = build(ALL['depth'][0])
    model.decode_head = ones([3.0])
    samples = [sample((32, 32), gt_depth_map=torch.ones(1, 20, 20))]
    assert run(model, [(32, 32)], samples, 'loss')['decode.loss_l1'] == 2


HEADS = {
    'per-pixel MLP': lambda widths: fcn(widths, kernel_size=1),
    'SegFormer': lambda widths: dict(
        type='SegformerHead',
        in_channels=list(widths),
        in_index=list(range(len(widths))),
        channels=8,
        norm_cfg=GN,
    ),
    'ASPP': lambda widths: dict(
        type='ASPPHead',
        in_channels=widths[-1],
        in_index=len(widths) - 1,
        channels=8,
        dilations=(1, 2),
        norm_cfg=GN,
    ),
    'UPerNet': lambda widths: dict(
        type='UPerHead',
        in_channels=list(widths),
        in_index=list(range(len(widths))),
        pool_scales=(1, 2),
        channels=8,
        norm_cfg=GN,
    ),
    'ConvNeXt': lambda widths: dict(
        type='mdl_nas_mm.ConvNeXtHead', in_channels=widths[-1], in_index=-1, channels=32
    ),
    'pooled MLP': lambda widths: dict(
        type='mdl_nas_mm.PooledMLPHead', in_channels=widths[-1], channels=8
    ),
}


@pytest.mark.parametrize('name', HEADS)
def test_any_decode_head_will_do(name):
    kind = 'classes' if name == 'pooled MLP' else 'normals'
    model = build(ALL[kind][0], head=HEADS[name])
    loss = total(run(model, SIZES, samples_of(kind), 'loss'))
    loss.backward()
    assert all(p.grad is not None for n, p in model.named_parameters()), name
    model.eval()
    (found,) = run(model, [(37, 51)], samples_of(kind, [(37, 51)]), 'predict')
    assert found.get(model.target.prediction).data.shape[0] == model.target.channels


def test_a_sum_over_many_pixels_does_not_overflow_in_half_precision():
    built = build(ALL['depth'][0]).target
    logits = torch.full((1, 1, 400, 400), 2.0, dtype=torch.float16)
    losses = built.losses(logits, torch.full((1, 1, 400, 400), 5.0))
    assert losses['loss_l1'].item() == 3
