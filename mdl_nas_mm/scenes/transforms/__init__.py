"""Transforms of dense labels: loading, resizing, padding and packing; targets made of images."""

from .clip import LoadClip
from .load import LoadSceneImage, LoadSceneLabel
from .pack import PackScene
from .pad import ScenePad
from .preprocessor import ScenePreProcessor
from .resize import SceneResize, resize_label
from .targets import DenoiseTarget, ImageTarget, InpaintTarget, JigsawTarget

__all__ = [
    'DenoiseTarget',
    'ImageTarget',
    'InpaintTarget',
    'JigsawTarget',
    'LoadClip',
    'LoadSceneImage',
    'LoadSceneLabel',
    'PackScene',
    'ScenePad',
    'ScenePreProcessor',
    'SceneResize',
    'resize_label',
]
