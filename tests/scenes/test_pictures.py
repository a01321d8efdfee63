"""Dense labels as pictures, colour by colour."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mdl_nas_mm.scenes.pictures import (
    classes_picture,
    depth_picture,
    drawn_fields,
    normals_picture,
    picture,
    regression_picture,
    shares_picture,
)


def test_classes_have_the_colours_of_the_palette():
    labels = np.array([[[0, 1, 255, 2]]])
    found = classes_picture(labels, palette=[[1, 2, 3], [4, 5, 6]])
    assert found.tolist() == [[[1, 2, 3], [4, 5, 6], [0, 0, 0], [0, 0, 0]]]
    other = classes_picture(labels)
    assert len({tuple(colour) for colour in other[0].tolist()}) == 4 and not other[0, 2].any()


def test_near_is_yellow_far_is_blue_and_none_is_black():
    found = depth_picture(np.array([[[1.0, 5.0, 0.0, np.nan]]]))
    near, far, none, nan = found[0].tolist()
    assert near[0] > 200 and near[1] > 200 and near[2] < 80
    assert far[2] > far[1] and far[2] > 60 and max(far) < 120
    assert none == nan == [0, 0, 0]
    wide = depth_picture(np.array([[[1.0, 5.0]]]), span=(1.0, 9.0))
    assert wide[0, 0].tolist() == near and wide[0, 1].tolist() != far


def test_normals_are_as_8_bit_files_hold_them():
    normals = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]).T
    found = normals_picture(normals[:, None])
    assert found[0].tolist() == [[255, 128, 128], [128, 0, 128], [128, 128, 0], [0, 0, 0]]


def test_probabilities_are_grey_and_the_ignored_is_red():
    found = shares_picture(np.array([[[0.0, 1.0, 0.5, 255.0]]]))[0]
    assert found[:3].tolist() == [[0] * 3, [255] * 3, [128] * 3]
    assert found[3, 0] > 150 and found[3, 1:].max() < 60


def test_regressions_span_all_levels():
    values = np.array([[[0.0, 4.0, 2.0, np.nan]]])
    assert regression_picture(values)[0].tolist() == [[0] * 3, [255] * 3, [128] * 3, [0] * 3]
    two = regression_picture(np.concatenate([values, 4 - values]))[0]
    assert two[:2].tolist() == [[0, 255, 0], [255, 0, 0]]
    many = regression_picture(np.random.default_rng(0).random((64, 3, 4)))
    assert many.shape == (3, 4, 3) and many.min() == 0 and many.max() == 255


def test_what_a_sample_has_is_drawn():
    sample = SegDataSample(
        gt_edges=PixelData(data=torch.zeros(1, 2, 3)),
        pred_normals=PixelData(data=torch.full((3, 2, 3), -1.0)),
        pred_sem_seg=PixelData(data=torch.ones(1, 2, 3, dtype=torch.long)),
    )
    assert drawn_fields(sample) == ['pred_sem_seg', 'pred_normals']
    assert drawn_fields(sample, 'gt') == ['gt_edges']
    assert picture(sample, 'pred_sem_seg', palette=[[0, 0, 0], [9, 8, 7]])[1, 2].tolist() == [
        9,
        8,
        7,
    ]
    assert picture(sample, 'pred_normals').shape == (2, 3, 3)
