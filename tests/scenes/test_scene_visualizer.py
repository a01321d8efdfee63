"""Labels and answers of dense tasks beside their image."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mdl_nas_mm.scenes.visualizer import SceneVisualizer

IMAGE = np.full((8, 12, 3), 90, np.uint8)


def sample(**fields):
    found = SegDataSample()
    for name, values in fields.items():
        found.set_field(PixelData(data=values), name, dtype=PixelData)
    return found


@pytest.mark.parametrize(
    ('labels', 'gt', 'panels'), [(True, True, 3), (True, False, 2), (False, True, 2)]
)
def test_depth_has_a_panel_for_what_there_is(tmp_path, labels, gt, panels):
    depth = torch.linspace(1, 5, 96).reshape(1, 8, 12)
    fields = dict(pred_depth_map=depth) | (dict(gt_depth_map=depth) if labels else {})
    visualizer = SceneVisualizer(name='depth')
    visualizer.add_datasample('a', IMAGE, sample(**fields), draw_gt=gt, out_file=tmp_path / 'a.png')
    drawing = np.asarray(Image.open(tmp_path / 'a.png'))
    assert drawing.shape == (8, 12 * panels, 3)
    assert (drawing[:, :12] == 90).all()
    if panels == 3:
        # The same depth has the same colours.
        assert (drawing[:, 12:24] == drawing[:, 24:]).all()


def test_images_go_to_the_back_ends_under_their_name(monkeypatch):
    visualizer, seen = SceneVisualizer(name='normals'), []
    monkeypatch.setattr(visualizer, 'add_image', lambda *given: seen.append(given))
    normals = torch.zeros(3, 4, 6)
    normals[2] = 1
    visualizer.add_datasample('b', IMAGE, sample(pred_normals=normals), step=7)
    ((name, drawing, step),) = seen
    assert (name, drawing.shape, step) == ('b', (8, 24, 3), 7)
