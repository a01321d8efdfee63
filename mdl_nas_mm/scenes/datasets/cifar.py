"""CIFAR-100 as twenty tasks of five classes."""

from __future__ import annotations

import pickle
from itertools import zip_longest
from typing import Any

from mmengine.fileio import exists, get, join_path
from mmpretrain.datasets import CIFAR100

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.utils.one_line import first_line

COARSE_CLASSES: dict[str, tuple[str, ...]] = {
    'aquatic_mammals': ('beaver', 'dolphin', 'otter', 'seal', 'whale'),
    'fish': ('aquarium_fish', 'flatfish', 'ray', 'shark', 'trout'),
    'flowers': ('orchid', 'poppy', 'rose', 'sunflower', 'tulip'),
    'food_containers': ('bottle', 'bowl', 'can', 'cup', 'plate'),
    'fruit_and_vegetables': ('apple', 'mushroom', 'orange', 'pear', 'sweet_pepper'),
    'household_electrical_devices': ('clock', 'keyboard', 'lamp', 'telephone', 'television'),
    'household_furniture': ('bed', 'chair', 'couch', 'table', 'wardrobe'),
    'insects': ('bee', 'beetle', 'butterfly', 'caterpillar', 'cockroach'),
    'large_carnivores': ('bear', 'leopard', 'lion', 'tiger', 'wolf'),
    'large_man-made_outdoor_things': ('bridge', 'castle', 'house', 'road', 'skyscraper'),
    'large_natural_outdoor_scenes': ('cloud', 'forest', 'mountain', 'plain', 'sea'),
    'large_omnivores_and_herbivores': ('camel', 'cattle', 'chimpanzee', 'elephant', 'kangaroo'),
    'medium_mammals': ('fox', 'porcupine', 'possum', 'raccoon', 'skunk'),
    'non-insect_invertebrates': ('crab', 'lobster', 'snail', 'spider', 'worm'),
    'people': ('baby', 'boy', 'girl', 'man', 'woman'),
    'reptiles': ('crocodile', 'dinosaur', 'lizard', 'snake', 'turtle'),
    'small_mammals': ('hamster', 'mouse', 'rabbit', 'shrew', 'squirrel'),
    'trees': ('maple_tree', 'oak_tree', 'palm_tree', 'pine_tree', 'willow_tree'),
    'vehicles_1': ('bicycle', 'bus', 'motorcycle', 'pickup_truck', 'train'),
    'vehicles_2': ('lawn_mower', 'rocket', 'streetcar', 'tank', 'tractor'),
}


@DATASETS.register_module()
class CIFAR100Task(CIFAR100):
    """One of CIFAR-100's twenty coarse classes as a task of its own, of five classes.

    Of CIFAR100-MTL's twenty tasks each has 2,500 images for training and 500 for testing, 32 x 32
    pixels, and shares none with another. Classes are in the order of CIFAR-100's own numbers, which
    is that of the alphabet.

    Args:
        coarse: name of the coarse class, or its number, 0 to 19.
        download: whether to fetch files that are not there.
        **kwargs: of mmpretrain's ``CIFAR100``, which reads the files: ``data_root``, ``split`` and
            so on.

    Raises:
        ValueError: there is no such coarse class or split; ``metainfo`` does not name five classes;
            or the files are not there, or not the published ones, have a label beyond the hundred,
            or no image of one of the five, or name other classes, or in another order.
    """

    file_refusal = 'unpickles its files, and fetches'

    def __init__(self, coarse: str | int, download: bool = True, **kwargs: Any) -> None:
        names = list(COARSE_CLASSES)
        if coarse not in names and coarse not in range(len(names)):
            raise ValueError(
                f'CIFAR100Task: coarse is 0 to 19 or a name as {names[1]!r}, not {coarse!r}'
            )
        self.coarse = coarse if isinstance(coarse, str) else names[coarse]
        if kwargs.get('split', 'train') not in ('train', 'test'):
            raise ValueError(f"CIFAR100Task: split is 'train' or 'test', not {kwargs['split']!r}")
        metainfo = dict(kwargs.pop('metainfo', None) or {})
        metainfo.setdefault('classes', COARSE_CLASSES[self.coarse])
        if len(metainfo['classes']) != len(COARSE_CLASSES[self.coarse]):
            raise ValueError(
                f'CIFAR100Task {self.coarse!r}: metainfo has {len(metainfo["classes"])} classes, '
                f'the data {len(COARSE_CLASSES[self.coarse])}'
            )
        super().__init__(metainfo=metainfo, download=download, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Those of the five classes, renumbered."""
        names, fine = CIFAR100.METAINFO['classes'], COARSE_CLASSES[self.coarse]
        numbers = [names.index(name) for name in fine]
        where = f'CIFAR100Task {self.coarse!r}, {self.data_prefix["root"]!r}'
        try:
            infos = super().load_data_list()
        except Exception as error:
            # Among others that they are not there, or not of the published sums.
            raise ValueError(f'{where}: its files cannot be read: {first_line(error)}') from error
        labels = {int(info['gt_label']) for info in infos}
        if beyond := sorted(labels.difference(range(len(names)))):
            raise ValueError(f'{where}: has a label {beyond[0]}, expected 0 to {len(names) - 1}')
        if lost := [name for name, number in zip(fine, numbers) if number not in labels]:
            raise ValueError(f'{where}: has no image of {", ".join(lost)}')
        self._check_names(where)
        return [
            dict(info, gt_label=numbers.index(info['gt_label']))
            for info in infos
            if info['gt_label'] in numbers
        ]

    def _check_names(self, where: str) -> None:
        """Compares the names in the files, where they have any, with those that are known here."""
        path = join_path(self.data_prefix['root'], self.base_folder, self.meta['filename'])
        if not exists(path):
            return
        found = pickle.loads(get(path), encoding='latin1')
        known = dict(
            fine_label_names=CIFAR100.METAINFO['classes'], coarse_label_names=COARSE_CLASSES
        )
        for key, expected in known.items():
            for i, (name, own) in enumerate(zip_longest(found.get(key, ()), expected)):
                if name != own:
                    raise ValueError(
                        f'{where}: {path} names class {i} of {key} {name!r}, expected {own!r}'
                    )
