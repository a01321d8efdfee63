"""Small data sets in published layouts and encodings, with each trap in them."""

from __future__ import annotations

import json
import pickle

import numpy as np
from scenes.files import as_colours, image, save, slanted
from scipy.io import savemat

SIZE = (12, 16)


# Endings of the files in each of the three layouts of NYUD-v2.
NYUD_VARIANTS = dict(
    astmt=dict(images='jpg', segmentation='mat', depth='mat', normals='jpg', edge='png'),
    survey=dict(images='jpg', segmentation='png', depth='npy', normals='npy', edge='npy'),
    atrc=dict(images='png', segmentation='png', depth='npy', normals='png', edge='png'),
)


def write_nyud(root, variant, names=('0001', '0002'), size=(16, 24)):
    """Images with classes up to 40, and holes in depth and normals; lists of both splits."""
    endings = NYUD_VARIANTS[variant]
    for name in names:
        for folder, array in _of_nyud(endings, size).items():
            save(root / folder / f'{name}.{endings[folder]}', array, key=folder)
    (root / 'gt_sets').mkdir()
    for split in ('train', 'val'):
        (root / 'gt_sets' / f'{split}.txt').write_text('\n'.join(names) + '\n')


def _of_nyud(endings, size):
    classes = (np.arange(size[0] * size[1]).reshape(size) % 41).astype(np.uint8)
    depth = np.random.default_rng(0).uniform(0.7, 9, size).astype(np.float32)
    depth[:2] = 0
    normals = slanted(*size)
    normals[8:, 8:16] = 0
    edges = np.eye(*size, dtype=np.uint8) * 255
    if endings['normals'] != 'npy':
        normals = as_colours(normals)
        normals[:8, 8:16] = 255
    if endings['edge'] == 'npy':
        edges = edges / 255.0
    return dict(images=image(*size), segmentation=classes, depth=depth, normals=normals, edge=edges)


def write_mtan(root, size=SIZE):
    """Two images of NYUD-v2 as arrays."""
    for n in range(2):
        folder = root / 'train'
        save(folder / 'image' / f'{n}.npy', image(*size) / 255.0)
        label = np.arange(size[0] * size[1]).reshape(size) % 14 - 1.0
        save(folder / 'label' / f'{n}.npy', label.astype(np.float32))
        save(folder / 'depth' / f'{n}.npy', np.full((*size, 1), 2.0 + n))
        normals = slanted(*size)
        normals[0] = 0
        save(folder / 'normal' / f'{n}.npy', normals)


def struct(**fields):
    """A MATLAB struct."""
    names = [(name, object) for name in fields]
    found = np.zeros((1, 1), dtype=names)
    for name, value in fields.items():
        found[name][0, 0] = value
    return found


def structs(*each):
    """A MATLAB array of structs, or an empty one."""
    return np.concatenate(each, axis=1) if each else np.zeros((0, 0))


def part(size, name, rows, columns):
    mask = np.zeros(size, dtype=np.uint8)
    mask[rows, columns] = 1
    return struct(part_name=name, mask=mask)


def thing(size, name, *parts):
    mask = np.ones(size, dtype=np.uint8)
    number = 15 if name == 'person' else 12
    return struct(**{'class': name, 'class_ind': number, 'mask': mask, 'parts': structs(*parts)})


def write_pascal(root, size=SIZE):
    """A person and a dog; a dog alone; a person without parts."""
    person = thing(
        size,
        'person',
        part(size, 'hair', slice(0, 2), slice(0, 4)),
        part(size, 'torso', slice(2, 6), slice(0, 4)),
        part(size, 'luarm', slice(2, 4), slice(4, 6)),
        part(size, 'rhand', slice(4, 6), slice(4, 6)),
        part(size, 'ruleg', slice(6, 8), slice(0, 4)),
        part(size, 'lfoot', slice(8, 10), slice(0, 4)),
    )
    dog = thing(size, 'dog', part(size, 'head', slice(0, 2), slice(8, 10)))
    objects = dict(
        a=structs(person, dog), b=structs(dog), c=structs(thing(size, 'person')), d=structs(person)
    )
    names = '\n'.join(objects)
    (root / 'ImageSets' / 'Parts').mkdir(parents=True)
    (root / 'ImageSets' / 'Parts' / 'train.txt').write_text(names)
    for i, (name, each) in enumerate(objects.items()):
        save(root / 'JPEGImages' / f'{name}.jpg', image(*size))
        (root / 'human_parts').mkdir(exist_ok=True)
        annotation = struct(imname=name, objects=each)
        savemat(root / 'human_parts' / f'{name}.mat', dict(anno=annotation))
        classes = np.full(size, 20, dtype=np.uint8)
        classes[:, 0] = 255
        save(root / 'semseg' / ('VOC12', 'pascal-context')[i % 2] / f'{name}.png', classes)
        salient = np.full(size, 127, dtype=np.uint8)
        salient[3:6] = 128
        save(root / 'sal_distill' / f'{name}.png', salient)
        save(root / 'normals_distill' / f'{name}.png', as_colours(slanted(*size)))
        regions = np.full(size, 300, dtype=np.uint16)
        regions[:, 8:] = 7
        folder = root / 'pascal-context' / 'trainval'
        save(folder / f'{name}.mat', regions, key='LabelMap')


def view(n):
    """What the names of an image's files begin with in Taskonomy."""
    return f'point_{n}_view_0'


def write_taskonomy(root, size=SIZE):
    """Two buildings with an image each, and a list with one that no one has."""
    depth = np.full(size, 1024, dtype=np.uint16)
    depth[:, :4] = 65535
    grey = np.full((*size, 3), 51, dtype=np.uint8)
    curvature = np.full((*size, 3), (127, 254, 9), dtype=np.uint8)
    normals = np.full((*size, 3), (127, 254, 127), dtype=np.uint8)
    heat = np.full(size, 13107, dtype=np.uint16)
    classes = np.full(size, 17, dtype=np.uint8)
    classes[0], classes[1] = 0, 1
    info = dict(vanishing_points_gaussian_sphere=dict(x=[1, 0, 0], y=[0, 1, 0], z=[0, 0, 1]))
    arrays = {
        'rgb/rgb.png': grey,
        'depth_zbuffer/depth_zbuffer.png': depth,
        'depth_euclidean/depth_euclidean.png': depth,
        'normal/normal.png': normals,
        'principal_curvature/principal_curvature.png': curvature,
        'reshading/reshading.png': grey,
        'segment_semantic/segmentsemantic.png': classes,
        'segment_unsup2d/segment_unsup2d.png': classes,
        'segment_unsup25d/segment_unsup25d.png': classes,
        'class_object/class_object.npy': np.full(1000, 0.001),
        'class_scene/class_scene.npy': np.arange(365.0) / np.arange(365).sum(),
    }
    for each in ('keypoints2d', 'keypoints3d', 'edge_texture', 'edge_occlusion'):
        arrays[f'{each}/{each}.png'] = heat
    for n, building in enumerate(('allensville', 'beechwood')):
        for name, array in arrays.items():
            folder, domain = name.split('/')
            save(root / folder / building / f'{view(n)}_domain_{domain}', array)
        folder = root / 'point_info' / building
        folder.mkdir(parents=True)
        (folder / f'{view(n)}_domain_point_info.json').write_text(json.dumps(info))
    lines = ('id,train,val,test', 'allensville,1,0,0', 'beechwood,1,0,0', 'gone,1,0,0')
    lines += ('far,0,1,0', 'away,0,1,0')
    (root / 'tiny.csv').write_bytes('\r'.join(lines).encode())


def write_cityscapes(root, size=SIZE):
    """Two images of each split."""
    disparity = np.full(size, 1 + 256 * 20, dtype=np.uint16)
    disparity[0, :2] = (0, 1)
    for split in ('train', 'val'):
        for name in ('aachen/aachen_000000_000019', 'bonn/bonn_000001_000019'):
            save(root / f'leftImg8bit/{split}/{name}_leftImg8bit.png', image(*size))
            save(root / f'disparity/{split}/{name}_disparity.png', disparity)
            classes = np.full(size, 18, dtype=np.uint8)
            classes[0] = 255
            save(root / f'gtFine/{split}/{name}_gtFine_labelTrainIds.png', classes)


def write_cifar100(root):
    """Two images of each class in each split; image k is all of value k."""
    folder = root / 'cifar-100-python'
    folder.mkdir(parents=True)
    images = np.arange(200)[:, None].repeat(3072, 1).astype(np.uint8)
    for split in ('train', 'test'):
        labels = [i % 100 for i in range(200)]
        (folder / split).write_bytes(pickle.dumps(dict(data=images, fine_labels=labels)))
