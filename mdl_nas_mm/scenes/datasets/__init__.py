"""Readers of data sets with labels of several kinds for the same images."""

from importlib.util import find_spec

from .base import SceneDataset
from .cityscapes import CityscapesScenes
from .folders import SceneFolders
from .mtan import MTANScenes
from .nyud import NYUDScenes
from .pascal import PASCALContextScenes
from .scene import Scene
from .taskonomy import TaskonomyScenes

__all__ = [
    'CityscapesScenes',
    'MTANScenes',
    'NYUDScenes',
    'PASCALContextScenes',
    'Scene',
    'SceneDataset',
    'SceneFolders',
    'TaskonomyScenes',
]

if find_spec('mmpretrain') is not None:
    from .cifar import COARSE_CLASSES, CIFAR100Task  # noqa: F401

    __all__ += ['COARSE_CLASSES', 'CIFAR100Task']
