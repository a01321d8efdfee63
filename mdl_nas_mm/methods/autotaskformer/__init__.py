"""AutoTaskFormer: where each task leaves the backbone, learned with its weights, then its cells."""

from importlib.util import find_spec

from .relative import MeanRelativeScore  # noqa: F401

# Heads of skeletons are mmseg's.
if find_spec('mmseg') is not None:
    from .heads import SkeletonHeads  # noqa: F401
    from .step import AutoTaskFormerStep, SkeletonStep, UniformSkeletonStep  # noqa: F401
