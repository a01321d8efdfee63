"""The bundled scenes: rendered rooms with exact labels for several dense tasks.

Walls, boxes, balls and boards carry scikit-learn's photographs and digits. ``write_rooms`` and
``write_room_videos`` write them; a ``View``, drawn from a seed, can also be rendered and labelled
by itself, mirrored, cropped and scaled.
"""

from .clips import CLIPS, draw_clip
from .draw import Material, draw_view
from .files import IMAGES, LABELS, VIDEOS, material_of, view_of, write_room_videos, write_rooms
from .render import CLASSES, Labels, label, render
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
    'draw_clip',
    'draw_view',
    'expose',
    'label',
    'material_of',
    'measure',
    'render',
    'view_of',
    'write_room_videos',
    'write_rooms',
]
