"""Values of a label that its encoding or unit cannot have; and good ones, which pass."""

import numpy as np
import pytest

from mdl_nas_mm.scenes.checks import label_error

SIZE = (6, 8)


@pytest.mark.parametrize(
    ('name', 'value', 'said'),
    [
        ('disparity', 20000.0, '20000'),
        ('disparity', -3.0, '-3'),
        ('disparity', np.inf, 'inf'),
        ('saliency', 128.0, '128'),
        ('saliency', -1.0, '-1'),
        ('saliency', np.nan, 'nan'),
        ('edges', 2.0, '2'),
        ('curvature', np.inf, 'infinite'),
    ],
)
def test_values_that_cannot_be(name, value, said):
    label = np.full((*SIZE, 2) if name == 'curvature' else SIZE, value, np.float32)
    assert said in (label_error(name, label) or '')


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('disparity', (0, 0.001)),  # MTAN's, divided by 65535
        ('disparity', (0, 126.5)),  # of Cityscapes, pixels
        ('disparity', (0, 900.0)),  # of large images
        ('saliency', (0, 1)),
        ('saliency', (0.2, 0.7)),  # soft ones
        ('saliency', (1, 255)),  # all of it stands out, beside what is unknown
        ('edges', (0, 0.5)),
        ('curvature', (-30.0, 8.0)),
        ('curvature', (np.nan, 60000.0)),
    ],
)
def test_good_values_pass(name, values):
    label = np.resize(np.asarray(values, np.float32), SIZE)
    assert label_error(name, label) is None
    assert label_error(name, np.zeros_like(label)) is None
