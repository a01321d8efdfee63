"""Readers of data sets with labels of several kinds for the same images."""

from .base import Scene, SceneDataset
from .folders import SceneFolders
from .nyud import NYUDScenes

__all__ = ['NYUDScenes', 'Scene', 'SceneDataset', 'SceneFolders']
