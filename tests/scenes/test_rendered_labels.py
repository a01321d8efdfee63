"""Every transform against its labels: a transformed image has those of the scene rendered so.

A flip is the mirrored scene, a crop has its principal point shifted, scaling by s is s times the
focal length; see ``mdl_nas_mm.datasets.rooms``. After a flip or a crop labels are equal. After
scaling they are compared away from where resampling mixes surfaces: more than one pixel, before
and after, from any edge between things, and from any crease, where normals bend by 20 degrees.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from mmseg.datasets.transforms import RandomCrop
from PIL import Image

from mdl_nas_mm.datasets.rooms import Labels, label, measure, render, view_of
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.scenes.transforms import LoadSceneLabel, PackScene, ScenePad, SceneResize

VIEWS = [view_of('train', number, height=96, width=128) for number in range(3)]
FIELDS = dict(
    gt_sem_seg='segmentation',
    gt_depth_map='depth',
    gt_normals='normals',
    gt_edges='edges',
    gt_saliency='saliency',
)


class Crop(RandomCrop):
    """mmseg's, of a part that is known."""

    def __init__(self, *place):
        super().__init__(crop_size=(1, 1))
        self.place = place

    def crop_bbox(self, results):
        return self.place


def written(folder, view, labels=None):
    """What a data set says of a view whose image and labels are files."""
    labels = label(view) if labels is None else labels
    Image.fromarray((render(view) * 255).astype(np.uint8)).save(folder / 'image.png')
    np.save(folder / 'depth.npy', labels.depth)
    np.save(folder / 'normals.npy', labels.normals)
    for name in ('segmentation', 'edges', 'saliency'):
        Image.fromarray(getattr(labels, name)).save(folder / f'{name}.png')
    sources = dict(
        semseg=dict(path=str(folder / 'segmentation.png'), encoding='classes', num_classes=6),
        depth=dict(path=str(folder / 'depth.npy'), encoding='depth'),
        normals=dict(path=str(folder / 'normals.npy'), encoding='normals'),
        edges=dict(path=str(folder / 'edges.png'), encoding='binary'),
        saliency=dict(path=str(folder / 'saliency.png'), encoding='binary'),
    )
    return dict(img_path=str(folder / 'image.png'), labels=sources, seg_fields=[])


def transformed(info, *transforms):
    """The image, and the labels as the renderer gives them, of a pipeline with these transforms."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose(
            [dict(type='LoadImageFromFile'), LoadSceneLabel(), *transforms, PackScene()]
        )
        packed = pipeline(info)
    return packed['inputs'].numpy(), unpacked(packed['data_samples'])


def unpacked(sample):
    maps = {name: sample.get(field).data.numpy() for field, name in FIELDS.items()}
    return Labels(
        **{name: m.transpose(1, 2, 0) if name == 'normals' else m[0] for name, m in maps.items()}
    )


def assert_same(found, expected):
    for name in FIELDS.values():
        assert np.allclose(getattr(found, name), getattr(expected, name), atol=1e-5), name


def degrees(a, b):
    return np.rad2deg(
        2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    )


def near(mask, reach):
    """Pixels within a square of that reach around those of a mask."""
    rows, columns = mask.shape
    wide = np.pad(mask, reach)
    shifts = range(2 * reach + 1)
    return np.any([wide[i : i + rows, j : j + columns] for i in shifts for j in shifts], axis=0)


def one_surface(labels):
    """Where no other thing and no crease is near: see the docstring of this file."""
    bends = np.zeros(labels.edges.shape, bool)
    for axis in (0, 1):
        bend = degrees(labels.normals, np.roll(labels.normals, 1, axis)) > 20
        bends |= bend | np.roll(bend, -1, axis)
    return ~near((labels.edges > 0) | bends, 1)


def unmixed(before, after):
    """Pixels of a scaled image that are of one surface there, and were so before."""
    (height, width), (rows, columns) = before.edges.shape, after.edges.shape
    row = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    column = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return one_surface(after) & one_surface(before)[row[:, None], column]


def assert_close(found, exact, where):
    assert where.mean() > 0.5
    assert (np.abs(found.depth / exact.depth - 1)[where] < 0.01).all()
    assert (degrees(found.normals, exact.normals)[where] < 1).all()
    for name in ('segmentation', 'saliency'):
        assert np.array_equal(getattr(found, name)[where], getattr(exact, name)[where])
    assert not found.edges[where].any()


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('view', VIEWS)
def test_a_flip_is_the_mirrored_scene(tmp_path, view, direction):
    _, found = transformed(
        written(tmp_path, view), dict(type='RandomFlip', prob=1.0, direction=direction)
    )
    for axis, name in enumerate(('horizontal', 'vertical')):
        if direction in (name, 'diagonal'):
            view = view.mirrored(axis)
    assert_same(found, label(view))


def test_two_flips_are_none(tmp_path):
    flip = dict(type='RandomFlip', prob=1.0)
    _, found = transformed(written(tmp_path, VIEWS[0]), flip, flip)
    assert_same(found, label(VIEWS[0]))


def test_a_crop_has_its_principal_point_shifted(tmp_path):
    view = VIEWS[1]
    image, found = transformed(written(tmp_path, view), Crop(11, 51, 20, 80))
    part = replace(view, camera=view.camera.cropped(11, 20, 40, 60))
    assert_same(found, label(part))
    shown = (render(part) * 255).astype(np.uint8)[..., ::-1].transpose(2, 0, 1)
    assert np.abs(image.astype(int) - shown).max() <= 1


@pytest.mark.parametrize('scale', [0.5, 0.75, 1.5, 2.0, 3.0])
@pytest.mark.parametrize('view', VIEWS)
def test_scaling_is_a_longer_focal_length(tmp_path, view, scale):
    larger = replace(view, camera=view.camera.scaled(scale))
    size = (larger.camera.width, larger.camera.height)
    _, found = transformed(written(tmp_path, view), SceneResize(scale=size))
    exact = label(larger)
    assert_close(found, exact, unmixed(label(view), exact))


def test_depth_is_divided_by_the_scale(tmp_path):
    info, size = written(tmp_path, VIEWS[0]), (192, 144)
    _, plain = transformed(dict(info, seg_fields=[]), SceneResize(scale=size))
    _, divided = transformed(dict(info, seg_fields=[]), SceneResize(scale=size, divide_depth=True))
    assert np.allclose(divided.depth * 1.5, plain.depth, rtol=1e-6)
    assert_same(divided._replace(depth=plain.depth), plain)


def test_a_flipped_crop_of_a_larger_image(tmp_path):
    view = VIEWS[2]
    _, found = transformed(
        written(tmp_path, view),
        SceneResize(scale=(256, 192)),
        dict(type='RandomFlip', prob=1.0),
        Crop(30, 80, 15, 95),
    )
    larger = replace(view, camera=view.camera.scaled(2)).mirrored()
    exact = label(replace(larger, camera=larger.camera.cropped(30, 15, 50, 80)))
    where = unmixed(label(view.mirrored()), label(larger))[30:80, 15:95]
    assert_close(found, exact, where)


@pytest.mark.parametrize('scale', [0.5, 1.5])
def test_holes_stay_holes_and_spoil_nothing_around_them(tmp_path, scale):
    """As a sensor measures: what has a value after scaling is right, and most of it has one."""
    view = VIEWS[0]
    measured = measure(label(view), view.camera, np.random.default_rng(0))
    larger = replace(view, camera=view.camera.scaled(scale))
    size = (larger.camera.width, larger.camera.height)
    _, found = transformed(written(tmp_path, view, measured), SceneResize(scale=size))
    exact = label(larger)
    known = found.depth > 0
    share = (measured.depth > 0).mean()
    assert known.mean() == pytest.approx(share, abs=0.02)
    assert np.array_equal(known, (found.normals != 0).any(-1))
    where = known & unmixed(label(view), exact)
    assert (np.abs(found.depth / exact.depth - 1)[where] < 0.01).all()
    assert (degrees(found.normals, exact.normals)[where] < 1).all()


@pytest.mark.parametrize('how', ['pipeline', 'batch'])
def test_padding_has_no_label(tmp_path, how):
    info = written(tmp_path, VIEWS[0])
    if how == 'pipeline':
        _, found = transformed(info, ScenePad(size=(144, 104)))
    else:
        with DefaultScope.overwrite_default_scope('mmseg'):
            preprocessor = MODELS.build(
                dict(type='mdl_nas_mm.ScenePreProcessor', size=(104, 144), seg_pad_val=255)
            )
            pipeline = Compose([dict(type='LoadImageFromFile'), LoadSceneLabel(), PackScene()])
            packed = pipeline(info)
        batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
        with torch.no_grad():
            found = unpacked(preprocessor(batch, training=True)['data_samples'][0])
    exact = label(VIEWS[0])
    assert_same(Labels(*(m[:96, :128] for m in found)), exact)
    outside = np.ones((104, 144), bool)
    outside[:96, :128] = False
    for name, none in dict(depth=0, normals=0, segmentation=255, edges=255, saliency=255).items():
        assert (getattr(found, name)[outside] == none).all(), name
