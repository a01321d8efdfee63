"""Thinning against hand-worked examples, scikit-image, and what it must keep."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from mdl_nas_mm.scenes.thinning import thin


def mask(text):
    return np.array([[pixel == '#' for pixel in row] for row in text.split()])


@pytest.mark.parametrize(
    ('thick', 'line'),
    [
        # Lines of one pixel stay, and their ends.
        ('..... .###. .....', '..... .###. .....'),
        ('#.... .#... ..#..', '#.... .#... ..#..'),
        ('###### ###### ######', '...... .####. ......'),
        ('##### ##### ##### ##### #####', '..... ..... ..#.. ..... .....'),
        # A hole stays a hole.
        ('##### #...# #...# #...# #####', '.###. #...# #...# #...# .###.'),
    ],
)
def test_thinning_by_hand(thick, line):
    assert np.array_equal(thin(mask(thick)), mask(line))


def blobs(seed, size=(60, 80), share=0.4):
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=size), 2)
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize('share', [0.05, 0.4, 0.9])
def test_thinning_is_that_of_scikit_image(share):
    morphology = pytest.importorskip('skimage.morphology')
    for seed in range(3):
        thick = blobs(seed, share=share)
        assert np.array_equal(thin(thick), morphology.thin(thick))


def test_thinned_lines_are_as_connected_as_before():
    eight = np.ones((3, 3))
    for seed in range(3):
        thick = blobs(seed)
        line = thin(thick)
        assert not (line & ~thick).any()
        assert label(line, eight)[1] == label(thick, eight)[1]
        assert label(~np.pad(line, 1))[1] == label(~np.pad(thick, 1))[1]
