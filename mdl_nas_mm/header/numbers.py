"""Numbers in configs of somebody else that no model has, found before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Counts and sizes in a model's config; the keys are those that real configs have larger ones of.
MAX_NUMBER = 2**14
MAX_LARGE = 2**20
LARGE = ('num_classes', 'vocab_size', 'min_kept', 'num_points', 'nms_pre', 'max_per_img')
LARGE += ('queue_len', 'warm_up_steps', 'warmup_iterations', 'total_iters')
# Sides of images in pipelines and preprocessors, and by what an image is enlarged.
MAX_SIDE = 2**13
MAX_FACTOR = 16
_FACTORS = ('scale_factor', 'ratio_range', 'scale_range', 'resize_ratio_range')
_OF_IMAGES = ('pipeline', 'data_preprocessor')
_FAR = ('regress_ranges', 'ignore_index', 'sigmas')


def check_numbers(config: Any, where: str, key: Any = '') -> None:
    """Raises ValueError, naming it, for a number in a model's config that no model has."""
    if isinstance(config, Mapping):
        for name, item in config.items():
            check_numbers(item, where, name)
    elif isinstance(config, (list, tuple)):
        for item in config:
            check_numbers(item, where, key)
    elif isinstance(config, (int, float)) and not isinstance(config, bool):
        most = MAX_LARGE if key in LARGE or isinstance(config, float) else MAX_NUMBER
        if abs(config) > most and math.isfinite(config) and key not in _FAR:
            raise ValueError(f'{where}: {ascii(key)} {config} is larger than in any model')


def check_images(config: Any, where: str, key: Any = '', of_images: bool = False) -> None:
    """Raises ValueError, naming it, for a number that a pipeline would make a huge image by."""
    if isinstance(config, Mapping):
        for name, item in config.items():
            check_images(item, where, name, of_images or name in _OF_IMAGES)
    elif isinstance(config, (list, tuple)):
        for item in config:
            check_images(item, where, key, of_images)
    elif of_images and isinstance(config, (int, float)) and math.isfinite(config):
        if abs(config) > (MAX_FACTOR if key in _FACTORS else MAX_SIDE):
            raise ValueError(f'{where}: {ascii(key)} {config} makes larger images than it may')
