"""The bundled scenes: rendered rooms with exact labels for several dense tasks.

Walls, boxes, balls and boards carry scikit-learn's photographs and digits. ``write_rooms`` and
``write_room_videos`` write them; a ``View``, sampled from a seed, can also be rendered and labelled
by itself, mirrored, cropped and scaled.
"""

from .clips import CLIPS, sample_clip
from .files import IMAGES, LABELS, VIDEOS, material_of, view_of, write_room_videos, write_rooms
from .render import CLASSES, Labels, label, render
from .sampling import Material, sample_view
from .scene import Ball, Box, Camera, Digits, Photo, RoomScene, View
from .sensor import expose, measure

__all__ = [
    'CLASSES',
    'CLIPS',
    'IMAGES',
    'LABELS',
    'Ball',
    'Box',
    'Camera',
    'Digits',
    'Labels',
    'Material',
    'VIDEOS',
    'Photo',
    'RoomScene',
    'View',
    'sample_clip',
    'sample_view',
    'expose',
    'label',
    'material_of',
    'measure',
    'render',
    'view_of',
    'write_room_videos',
    'write_rooms',
]
