"""Every metric against a hand-worked example and, where a library has it, against that."""

import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import DepthMetric, IoUMetric
from refusals import raises_naming
from scipy.spatial.transform import Rotation
from sklearn.metrics import (
    fbeta_score,
    jaccard_score,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

from mdl_nas_mm.scenes.losses.embedding import pair_loss
from mdl_nas_mm.scenes.metrics import (
    DepthErrorMetric,
    EmbeddingMetric,
    NormalsMetric,
    RegressionErrorMetric,
    SaliencyMetric,
    SoftLabelMetric,
    StructuralSimilarityMetric,
)

NAN = math.nan
# What a pixel without a label holds.
NONE = [('regression', NAN), ('depth_map', 0), ('normals', 0), ('edges', 255), ('saliency', 255)]


def tensor(values):
    return torch.as_tensor(values, dtype=torch.float32)


def evaluate(metric, *pairs):
    """The metrics of images, each (prediction, label) of shape (C, H, W)."""
    for prediction, label in pairs:
        found = {metric.prediction: prediction, metric.label: label}
        metric.process({}, [{key: dict(data=tensor(value)) for key, value in found.items()}])
    return metric.compute_metrics(metric.results)


class TestDepth:
    def test_by_hand(self):
        """Errors 1 of 2 m, 0 and 2; an image that has one pixel, and one that has none."""
        found = evaluate(
            DepthErrorMetric(),
            ([[[3.0, 4.0, 5.0]]], [[[2.0, 4.0, 0.0]]]),
            ([[[6.0, 9.0, 9.0]]], [[[4.0, 0.0, NAN]]]),
            ([[[1.0, 1.0, 1.0]]], [[[0.0, 0.0, 0.0]]]),
        )
        assert found['rmse'] == pytest.approx(math.sqrt((1 + 0 + 4) / 3))
        assert found['rmse_image'] == pytest.approx((math.sqrt(1 / 2) + 2) / 2)
        assert found['abs_err'] == pytest.approx((1 + 0 + 2) / 3)
        assert found['abs_err_image'] == pytest.approx((0.5 + 2) / 2)
        assert found['abs_rel'] == pytest.approx((0.5 + 0 + 0.5) / 3)
        # The ratios are 1.5, 1 and 1.5; 1.25^2 is 1.5625.
        assert found['d1'] == pytest.approx(1 / 3) and found['d2'] == 1 == found['d3']
        assert found['d1_image'] == pytest.approx((0.5 + 0) / 2)
        logs = math.log(1.5) ** 2
        assert found['rmse_log'] == pytest.approx(math.sqrt(2 * logs / 3))

    def test_at_its_limits(self):
        """A label at the largest depth is none, and a ratio of 1.25 is not below it."""
        found = evaluate(DepthErrorMetric(max_depth=9.0), ([[[1.25, 3.0]]], [[[1.0, 9.0]]]))
        assert (found['abs_err'], found['d1'], found['d2']) == (0.25, 0, 1)

    def test_least_is_of_ratios_and_logarithms_alone(self):
        found = evaluate(DepthErrorMetric(least=0.5), ([[[0.25, -1.0]]], [[[1.0, 0.5]]]))
        assert found['abs_err'] == (0.75 + 1.5) / 2
        assert found['abs_rel'] == (0.75 + 3) / 2
        assert found['rmse'] == math.sqrt((0.75**2 + 1.5**2) / 2)
        # Ratios of 2 and 1.
        assert found['rmse_log'] == pytest.approx(math.sqrt(math.log(2) ** 2 / 2))
        assert found['d3'] == 0.5

    def test_image_by_image_it_is_upstreams(self):
        rng = np.random.default_rng(0)
        ours, theirs = DepthErrorMetric(max_depth=9.0), DepthMetric(max_depth_eval=9.0)
        for _ in range(4):
            label = rng.uniform(0.5, 10, (1, 6, 7)) * (rng.random((1, 6, 7)) < 0.7)
            pair = dict(gt_depth_map=label, pred_depth_map=rng.uniform(0.5, 10, (1, 6, 7)))
            sample = {key: dict(data=tensor(value)) for key, value in pair.items()}
            ours.process({}, [sample])
            theirs.process({}, [sample])
        expected = theirs.compute_metrics(theirs.results)
        found = ours.compute_metrics(ours.results)
        for name in ('rmse', 'rmse_log', 'abs_rel', 'd1', 'd2', 'd3'):
            assert found[f'{name}_image'] == pytest.approx(expected[name], rel=1e-4), name

    def test_over_all_pixels_it_is_sklearns(self):
        """Of images of different sizes, each with another share of valid pixels."""
        rng = np.random.default_rng(0)
        shapes = [(1, 6 + i, 7) for i in range(4)]
        pairs = [
            (rng.uniform(0.5, 10, s), rng.uniform(0.5, 10, s) * (rng.random(s) < 0.2 + 0.2 * i))
            for i, s in enumerate(shapes)
        ]
        found = evaluate(DepthErrorMetric(max_depth=9.0), *pairs)
        y, p = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (1, 0))
        y, p = (each[(y > 0) & (y < 9)] for each in (y, p))
        ratios = np.maximum(y / p, p / y)
        expected = dict(
            rmse=math.sqrt(mean_squared_error(y, p)),
            rmse_log=math.sqrt(mean_squared_error(np.log(y), np.log(p))),
            abs_err=mean_absolute_error(y, p),
            abs_rel=mean_absolute_percentage_error(y, p),
            **{f'd{k}': np.mean(ratios < 1.25**k) for k in (1, 2, 3)},
        )
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6), name
            assert found[name] != pytest.approx(found[f'{name}_image'], rel=1e-3), name

    def test_nothing_to_measure_is_nan(self):
        assert all(map(math.isnan, evaluate(DepthErrorMetric(), ([[[1.0]]], [[[0.0]]])).values()))


def test_mean_iou_both_ways_is_upstreams():
    """A class that never occurs is left out, or counts 0: ``nan_to_num=0``. Pixel accuracy."""
    prediction, label = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]])
    overlaps = (1 / 2, 1 / 2)
    for settings, expected in ((dict(), sum(overlaps) / 2), (dict(nan_to_num=0), 1 / 3)):
        metric = IoUMetric(**settings)
        metric.dataset_meta = dict(classes=('a', 'b', 'c'))
        metric.process({}, [dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=label))])
        found = metric.compute_metrics(metric.results)
        assert found['mIoU'] == pytest.approx(100 * expected, abs=0.01)
        assert found['aAcc'] == pytest.approx(100 * 2 / 3, abs=0.01)


def turned(degrees):
    """Normals (3, H, W) at these angles to the one that looks at the camera."""
    degrees = np.atleast_2d(degrees)
    vectors = Rotation.from_euler('x', degrees.reshape(-1, 1), degrees=True).apply([0, 0, -1])
    return vectors.T.reshape(3, *degrees.shape)


class TestNormals:
    def test_by_hand(self):
        """Also where a prediction is no unit vector; and one pixel has no label."""
        angles = np.array([[0.0, 10.0, 20.0, 40.0, 90.0]])
        label = turned(0 * angles)
        label[:, 0, -1] = 0
        found = evaluate(NormalsMetric(), (3 * turned(angles), label))
        assert found['mean'] == pytest.approx(70 / 4, abs=1e-4)
        assert found['median'] == pytest.approx(15, abs=0.05)
        assert found['rmse'] == pytest.approx(math.sqrt((100 + 400 + 1600) / 4), abs=1e-4)
        within = [found[f'within_{limit}'] for limit in ('11.25', '22.5', '30')]
        assert within == [0.5, 0.75, 0.75]

    def test_over_all_pixels_it_is_numpys(self):
        rng = np.random.default_rng(0)
        pairs = [rng.normal(size=(2, 3, 11, 13 + i)) for i in range(3)]
        found = evaluate(NormalsMetric(), *pairs)
        cosines = [
            (a * b).sum(0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0) for a, b in pairs
        ]
        angles = np.degrees(np.arccos(np.concatenate([each.ravel() for each in cosines])))
        assert found['mean'] == pytest.approx(angles.mean(), abs=1e-4)
        assert found['rmse'] == pytest.approx(np.sqrt((angles**2).mean()), abs=1e-4)
        assert found['median'] == pytest.approx(np.median(angles), abs=0.05)

    def test_small_angles_are_exact(self):
        """Where a cosine in single precision would be 1."""
        found = evaluate(NormalsMetric(), (turned(np.full((2, 2), 0.01)), turned(np.zeros((2, 2)))))
        assert found['mean'] == pytest.approx(0.01, abs=1e-4)

    def test_angles_of_one_bin_are_spread_evenly_in_it(self):
        angles = np.array([[10.01, 10.02, 10.03, 10.04]])
        found = evaluate(NormalsMetric(), (turned(angles), turned(0 * angles)))
        assert found['median'] == pytest.approx(np.median(angles), abs=1e-3)

    def test_nothing_to_measure_is_nan(self):
        pair = turned([0.0]), np.zeros((3, 1, 1))
        assert all(map(math.isnan, evaluate(NormalsMetric(), pair).values()))


class TestSaliency:
    def test_what_is_as_large_as_the_threshold_is_not_found(self):
        """So that 0.85 tells the two apart, and no other threshold does."""
        found = evaluate(SaliencyMetric(), ([[[0.86, 0.85]]], [[[1, 0]]]))
        assert found['maxF_image'] == found['maxF_pooled'] == found['mIoU'] == 1

    def test_by_hand(self):
        """At thresholds below 0.3 one of two found pixels is right, above it is one of one."""
        found = evaluate(SaliencyMetric(), ([[[0.3, 0.8, 0.9, 0.1]]], [[[0, 1, 255, 1]]]))
        assert found['maxF_image'] == pytest.approx(2 * 1 * 0.5 / 1.5)
        assert found['mIoU'] == pytest.approx(1 / 2)
        # Above 0.05 all three pixels are found, two of them right; above 0.3 one, and it is right.
        low, high = 1.3 * (2 / 3) * 1 / (0.3 * 2 / 3 + 1), 1.3 * 1 * 0.5 / (0.3 + 0.5)
        assert found['maxF_pooled'] == pytest.approx(max(low, high))

    def test_it_is_sklearns(self):
        rng = np.random.default_rng(0)
        pairs = [(rng.random((1, 9, 10)), (rng.random((1, 9, 10)) < 0.4) * 1.0) for _ in range(3)]
        # Of nothing salient: nothing found, or much.
        pairs += [(pairs[0][0] * part, pairs[0][1] * 0) for part in (0.1, 0.7)]
        found = evaluate(SaliencyMetric(), *pairs)
        flat = [(p.astype(np.float32).ravel(), y.ravel() > 0) for p, y in pairs]

        def by_image(score, threshold):
            found = [(y, p > np.float32(threshold)) for p, y in flat]
            return np.mean(
                [score(y, z, zero_division=1.0 * (not (y.any() or z.any()))) for y, z in found]
            )

        best = 0
        for threshold in np.linspace(0.2, 0.9, 15):
            precision = by_image(precision_score, threshold)
            recall = by_image(recall_score, threshold)
            best = max(best, 2 * precision * recall / (precision + recall))
        assert found['maxF_image'] == pytest.approx(best)
        overlap = max(by_image(jaccard_score, t) for t in np.linspace(0.2, 0.9, 15))
        assert found['mIoU'] == pytest.approx(overlap)
        p, y = (np.concatenate(each) for each in zip(*flat))
        pooled = max(
            fbeta_score(y, p > np.float32(t), beta=math.sqrt(0.3), zero_division=0)
            for t in np.arange(0.05, 1, 0.05)
        )
        assert found['maxF_pooled'] == pytest.approx(pooled)


def test_soft_labels_by_hand():
    """The first is right, the second's class is among five, the third has no label."""
    first = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1]), np.array([0.7, 0.3, 0, 0, 0, 0])
    second = np.array([0.05, 0.2, 0.3, 0.2, 0.2, 0.05]), np.array([0, 0.9, 0.1, 0, 0, 0])
    none = first[0], np.full(6, NAN)
    found = evaluate(SoftLabelMetric(), first, second, none)
    assert (found['top1'], found['top5']) == (50, 100)
    loss = (
        -(0.7 * math.log(0.5) + 0.3 * math.log(0.1)),
        -(0.9 * math.log(0.2) + 0.1 * math.log(0.3)),
    )
    assert found['loss'] == pytest.approx(sum(loss) / 2)


def test_soft_labels_are_sklearns_and_torchs():
    torch.manual_seed(0)
    logits, labels = torch.randn(40, 9), (3 * torch.randn(40, 9)).softmax(1)
    found = evaluate(SoftLabelMetric(), *zip(logits.softmax(1), labels))
    for k in (1, 5):
        best = labels.argmax(1).numpy()
        expected = top_k_accuracy_score(best, logits.numpy(), k=k, labels=range(9))
        assert 0 < expected < 1 and found[f'top{k}'] == pytest.approx(100 * expected)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    assert found['loss'] == pytest.approx(loss.item(), rel=1e-5)


def test_errors_of_regression_by_hand():
    """Means over images, of what is labelled; an image without labels is left out."""
    pairs = (
        ([[[1.0, 2.0, 9.0]]], [[[2.0, 5.0, NAN]]]),
        ([[[1.0, 1.0, 1.0]]], [[[2.0, 2.0, 2.0]]]),
        ([[[1.0, 1.0, 1.0]]], [[[NAN, NAN, NAN]]]),
    )
    found = evaluate(RegressionErrorMetric(), *pairs)
    assert found == dict(l1=pytest.approx((2 + 1) / 2), l2=pytest.approx((5 + 1) / 2))
    found = evaluate(RegressionErrorMetric(data_range=10.0), *pairs)
    assert found['psnr'] == pytest.approx((10 * math.log10(100 / 5) + 20) / 2)
    # Without any error, or with so small a one, it is 100 of an image.
    found = evaluate(RegressionErrorMetric(data_range=1.0), ([1e-7], [0.0]), ([1.0], [1.0]))
    assert found['psnr'] == 100


def test_errors_of_regression_are_torchmetrics():
    """Means over images of what it gives of the labelled elements of each."""
    torchmetrics = pytest.importorskip('torchmetrics').functional
    rng = np.random.default_rng(0)
    pairs = [rng.random((2, 3, 6, 7 + i)).astype(np.float32) for i in range(4)]
    for i, (_, label) in enumerate(pairs):
        label[:, :i] = NAN
    found = evaluate(RegressionErrorMetric(data_range=2.0), *pairs)
    of_images = []
    for pair in map(torch.from_numpy, pairs):
        prediction, label = pair[:, pair[1].isfinite()].double()
        of_images.append(
            dict(
                l1=torchmetrics.mean_absolute_error(prediction, label),
                l2=torchmetrics.mean_squared_error(prediction, label),
                psnr=torchmetrics.image.peak_signal_noise_ratio(prediction, label, data_range=2.0),
            )
        )
    for name, value in found.items():
        expected = np.mean([each[name].item() for each in of_images])
        assert value == pytest.approx(expected, rel=1e-6), name


@pytest.mark.parametrize(('key', 'none'), NONE)
def test_errors_of_regression_are_of_pixels_with_a_label_alone(key, none):
    """Half of a map has none, whatever its kind holds there."""
    label = np.stack([np.full((4, 6), 0.0), np.full((4, 6), 0.6)])
    prediction, holes = label + [[[0.1]], [[0.3]]], label.copy()
    holes[:, :, 3:] = none
    found = evaluate(
        RegressionErrorMetric(key), (prediction, holes), (prediction, label * 0 + none)
    )
    expected = dict(l1=(0.1 + 0.3) / 2, l2=(0.01 + 0.09) / 2)
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()}


@pytest.mark.parametrize(
    ('kind', 'settings'),
    [
        (RegressionErrorMetric, dict(data_range=0)),
        (RegressionErrorMetric, dict(data_range='1')),
        (EmbeddingMetric, dict(pixels=1)),
        (EmbeddingMetric, dict(pixels=256.0)),
        (DepthErrorMetric, dict(least=0)),
        (DepthErrorMetric, dict(least=NAN)),
    ],
)
def test_settings_are_refused_before_a_training(kind, settings):
    """With each of these a validation would fail, or be of nothing."""
    with raises_naming(ValueError, kind.__name__, *settings, *map(repr, settings.values())):
        kind(**settings)


def test_the_loss_of_vanishing_points():
    prediction, label = np.zeros(9), np.full(9, 2.0)
    found = evaluate(RegressionErrorMetric('point'), (prediction, label))
    assert found == dict(l1=2, l2=4)


def test_the_loss_of_embeddings():
    """Of all pixels of a small image, but for those that are ignored; each time the same."""
    torch.manual_seed(0)
    embedding, segments = torch.randn(5, 4, 4), torch.randint(3, (1, 4, 4))
    segments[0, 0] = 255
    expected = pair_loss(embedding[:, 1:].flatten(1).T.double(), segments[0, 1:].flatten())
    found = evaluate(EmbeddingMetric(), (embedding, segments))['loss']
    assert found == pytest.approx(expected.item())
    some = [evaluate(EmbeddingMetric(pixels=6), (embedding, segments))['loss'] for _ in range(2)]
    assert some[0] == some[1] != found


class TestStructuralSimilarity:
    metric = staticmethod(lambda **settings: StructuralSimilarityMetric(1.0, **settings))

    @pytest.fixture(autouse=True)
    def library(self):
        pytest.importorskip('torchmetrics')

    def test_by_hand_of_even_images(self):
        """Without structure the luminance of the last scale alone counts, to its exponent."""
        a, b = torch.full((1, 180, 180), 0.5), torch.full((1, 180, 180), 0.7)
        luminance = (2 * 0.35 + 1e-4) / (0.25 + 0.49 + 1e-4)
        found = evaluate(self.metric(), (a, b))['ms_ssim']
        assert found == pytest.approx(luminance**0.1333, abs=1e-3)

    def test_it_is_a_mean_over_images_and_leaves_out_what_has_no_label(self):
        torch.manual_seed(0)
        image = torch.rand(2, 176, 200)
        noisy, holes = image + 0.2 * torch.rand_like(image), image.clone()
        holes[:, :40] = NAN
        single = [
            evaluate(self.metric(), pair)['ms_ssim'] for pair in ((noisy, image), (image, holes))
        ]
        assert single[1] == pytest.approx(1) and 0 < single[0] < 1
        none = torch.full_like(image, NAN)
        both = evaluate(self.metric(), (noisy, image), (image, holes), (image, none))
        assert both['ms_ssim'] == pytest.approx(sum(single) / 2)

    @pytest.mark.parametrize(('key', 'none'), NONE)
    def test_what_is_predicted_where_no_label_is_does_not_matter(self, key, none):
        torch.manual_seed(0)
        label = torch.rand(1, 176, 200) + 0.1
        found, label[:, :, :60] = label.clone(), none
        found[:, :, :60] = torch.rand(1, 176, 60)
        pairs = (found, label), (found, label * 0 + none)
        assert evaluate(self.metric(key=key), *pairs)['ms_ssim'] == pytest.approx(1)

    def test_an_image_that_is_too_small_is_refused(self):
        with pytest.raises(ValueError, match="'gt_normals'.*175.*176"):
            evaluate(self.metric(key='normals'), (torch.ones(3, 175, 200), torch.ones(3, 175, 200)))


def test_what_is_missing_is_said_in_a_line():
    metric = NormalsMetric()
    sample = dict(img_path='a/b.jpg', pred_normals=dict(data=torch.ones(3, 2, 2)))
    with pytest.raises(ValueError, match="a/b.jpg.*'gt_normals'.*NormalsMetric"):
        metric.process({}, [sample])
    with pytest.raises(ValueError, match="a/b.jpg.*'gt_normals' is 4 x 4.*'pred_normals' 2 x 2"):
        metric.process({}, [dict(sample, gt_normals=dict(data=torch.ones(3, 4, 4)))])


def test_what_processes_exchange_is_small():
    """Of an image of 480 x 640 pixels."""
    import pickle

    depth = torch.rand(1, 480, 640) + 1
    normals, binary = torch.randn(3, 480, 640), torch.rand(1, 480, 640)
    for metric, value in (
        (DepthErrorMetric(), depth),
        (NormalsMetric(), normals),
        (SaliencyMetric(), binary),
    ):
        evaluate(metric, (value, value.round() if value is binary else value))
        assert len(pickle.dumps(metric.results)) < 16_000
