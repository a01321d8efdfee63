"""Each loss against its formula, worked by hand or by numpy, and what none of them may do."""

import math

import numpy as np
import pytest
import torch
from refusals import raises_naming
from torch.nn import functional as F

from mdl_nas_mm.scenes.losses import (
    BalancedBCELoss,
    BerHuLoss,
    LogDepthLoss,
    MaskedL1Loss,
    MaskedL2Loss,
    NormalsCosineLoss,
    PixelEmbeddingLoss,
    SoftCrossEntropyLoss,
)
from mdl_nas_mm.scenes.losses.embedding import pair_loss

NAN = math.nan


def image(*rows):
    """One image of one channel (1, 1, H, W)."""
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def test_l1_and_l2_are_means_over_what_has_a_label():
    prediction, label = image([1.0, 2.0, 3.0]), image([2.0, NAN, 6.0])
    assert MaskedL1Loss()(prediction, label).item() == (1 + 3) / 2
    assert MaskedL2Loss(loss_weight=10)(prediction, label).item() == 10 * (1 + 9) / 2


def test_each_image_counts_alike_however_many_labels_it_has():
    prediction = torch.cat([image([1.0, 2.0]), image([0.0, 0.0]), image([5.0, 5.0])])
    label = torch.cat([image([2.0, 4.0]), image([3.0, NAN]), image([NAN, NAN])])
    assert MaskedL1Loss()(prediction, label).item() == ((1 + 2) / 2 + 3 + 0) / 3


def test_log_depth():
    value = LogDepthLoss()(image([math.e, 1.0]), image([1.0, math.e**3])).item()
    assert value == pytest.approx((1 + 3) / 2)
    # What is nearer than a millimetre counts as so far.
    value = LogDepthLoss()(image([0.05, 1e-4]), image([0.005, 1e-5])).item()
    assert value == pytest.approx(math.log(10) / 2)


def test_berhu():
    """c = 5 / 5 = 1: the errors 0.5 and 1 are linear, 5 costs (25 + 1) / 2."""
    value = BerHuLoss()(image([0.5, 1.0, 5.0, 7.0]), image([0.0, 0.0, 0.0, NAN])).item()
    assert value == pytest.approx((0.5 + 1 + 13) / 3)


def test_gradient_of_berhu():
    """Its c is no function of the predictions: 1 up to c = 1, x / c beyond."""
    prediction = image([0.5, -0.75, 2.0, 5.0]).requires_grad_()
    BerHuLoss()(prediction, torch.zeros_like(prediction)).backward()
    torch.testing.assert_close(prediction.grad, image([1.0, -1.0, 2.0, 5.0]) / 4)


def test_normals_cosine_is_that_of_torch():
    torch.manual_seed(0)
    a, b = (F.normalize(torch.randn(2, 3, 4, 5, dtype=torch.float64), dim=1) for _ in range(2))
    expected = (1 - F.cosine_similarity(a, b, dim=1)).mean()
    torch.testing.assert_close(NormalsCosineLoss()(a, b), expected)
    b[0, :, 0] = NAN
    b[1] = NAN
    of_first = (1 - F.cosine_similarity(a[0, :, 1:], b[0, :, 1:], dim=0)).mean()
    torch.testing.assert_close(NormalsCosineLoss()(a, b), of_first / 2)


def test_balanced_bce():
    """An edge that is seen with p = 3/4, a background with 1/4, and one that is ignored."""
    logits = image([math.log(3), -math.log(3), 9.0])
    label = image([1.0, 0.0, NAN])
    missed = -math.log(0.75)
    assert BalancedBCELoss()(logits, label).item() == pytest.approx(missed / 2)
    logits[0, 0, 0, 1] *= -1
    expected = (0.95 * missed + 0.05 * -math.log(0.25)) / 2
    assert BalancedBCELoss(0.95)(logits, label).item() == pytest.approx(expected)


def test_balanced_bce_equals_torchs_with_its_positive_weight():
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 6, 7, dtype=torch.float64)
    label = (torch.rand(2, 1, 6, 7) < 0.2).double()
    weight = torch.tensor(0.95 / 0.05, dtype=torch.float64)
    expected = 0.05 * F.binary_cross_entropy_with_logits(logits, label, pos_weight=weight)
    torch.testing.assert_close(BalancedBCELoss(0.95)(logits, label), expected)


def test_balanced_bce_of_an_images_own_balance():
    """A quarter of the labelled pixels is an edge, so that edges weigh three quarters."""
    label = image([1.0, 0.0, 0.0, 0.0, NAN])
    logits = torch.zeros_like(label)
    expected = math.log(2) * (0.75 + 3 * 0.25) / 4
    assert BalancedBCELoss(None)(logits, label).item() == pytest.approx(expected)
    with raises_naming(ValueError, 'pos_weight', 95):
        BalancedBCELoss(95)


@pytest.mark.parametrize('pixels', [1, 2.0])
def test_embeddings_of_fewer_than_two_pixels_are_refused(pixels):
    with raises_naming(ValueError, 'PixelEmbeddingLoss', 'pixels', pixels):
        PixelEmbeddingLoss(pixels)


def test_soft_cross_entropy_is_that_of_torch():
    torch.manual_seed(0)
    logits = torch.randn(3, 5, 1, 1, dtype=torch.float64)
    label = torch.rand(3, 5, 1, 1, dtype=torch.float64).softmax(1)
    expected = F.cross_entropy(logits.flatten(1), label.flatten(1))
    torch.testing.assert_close(SoftCrossEntropyLoss()(logits, label), expected)


def test_pairs_of_pixels_by_hand():
    """Two pixels of one segment at distance 1, and a third of another one at distances 2 and 3."""
    embeddings = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    together = lambda d: 2 / (1 + math.exp(d * d))  # noqa: E731
    near = -math.log(together(1))
    far = -(math.log(1 - together(2)) + math.log(1 - together(3))) / 2
    value = pair_loss(embeddings, torch.tensor([4, 4, 9])).item()
    assert value == pytest.approx((near + far) / 2)
    assert pair_loss(embeddings[:2], torch.tensor([4, 4])).item() == pytest.approx(near)


def test_embeddings_of_segments_move_apart():
    torch.manual_seed(0)
    embedding = torch.randn(1, 4, 6, 6, requires_grad=True)
    segments = (torch.arange(36) % 6 < 3).float().reshape(1, 1, 6, 6)
    loss, optimizer = PixelEmbeddingLoss(pixels=30), torch.optim.Adam([embedding], 0.1)
    values = []
    for _ in range(60):
        values.append(loss(embedding, segments))
        optimizer.zero_grad()
        values[-1].backward()
        optimizer.step()
    assert values[-1] < 0.1 * values[0]


LOSSES = [
    MaskedL1Loss(),
    MaskedL2Loss(),
    LogDepthLoss(),
    BerHuLoss(),
    NormalsCosineLoss(),
    BalancedBCELoss(),
    BalancedBCELoss(None),
    SoftCrossEntropyLoss(),
    PixelEmbeddingLoss(pixels=8),
]


def problem(loss, images=3):
    torch.manual_seed(0)
    prediction = torch.rand(images, 3, 4, 5, dtype=torch.float64)
    channels = 1 if isinstance(loss, PixelEmbeddingLoss) else 3
    label = torch.rand(images, channels, 4, 5, dtype=torch.float64).round()
    label[:, :, 0] = NAN
    return prediction.requires_grad_(), label


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: type(loss).__name__)
class TestEveryLoss:
    def test_no_label_gives_zero_and_a_gradient_of_zeros(self, loss):
        prediction, label = problem(loss)
        value = loss(prediction, torch.full_like(label, NAN))
        value.backward()
        assert value.item() == 0 and not prediction.grad.any()

    def test_what_stands_where_no_label_is_does_not_matter(self, loss):
        prediction, label = problem(loss)
        torch.manual_seed(1)
        value = loss(prediction, label)
        value.backward()
        assert value > 0 and prediction.grad.isfinite().all()
        assert not prediction.grad[:, :, 0].any() and prediction.grad[:, :, 1:].any()
        other = prediction.detach().clone()
        # Also where a logarithm has none.
        other[:, :, 0] = 0
        torch.manual_seed(1)
        torch.testing.assert_close(loss(other, label), value.detach())

    def test_a_batch_is_the_mean_of_its_images(self, loss):
        if isinstance(loss, PixelEmbeddingLoss):
            loss = PixelEmbeddingLoss(pixels=1000)
        prediction, label = problem(loss)
        label[1] = NAN
        single = [loss(prediction[i : i + 1], label[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(loss(prediction, label), torch.stack(single).mean())


def test_the_mean_is_numpys():
    rng = np.random.default_rng(0)
    prediction, label = rng.normal(size=(2, 4, 1, 3, 5))
    label[rng.random(label.shape) < 0.3] = np.nan
    expected = np.nanmean(np.abs(prediction - label).reshape(4, -1), axis=1).mean()
    value = MaskedL1Loss()(torch.tensor(prediction), torch.tensor(label))
    assert value.item() == pytest.approx(expected)
