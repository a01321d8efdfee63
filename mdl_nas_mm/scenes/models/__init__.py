"""One model for all dense tasks, what it can answer with, and heads that mmseg lacks."""

from .convnext_head import ConvNeXtHead
from .dense_estimator import DenseEstimator
from .map_targets import (
    DepthTarget,
    EdgesTarget,
    EmbeddingTarget,
    NormalsTarget,
    RegressionTarget,
    SaliencyTarget,
)
from .point_targets import SoftLabelTarget, VectorTarget
from .pooled_mlp_head import PooledMLPHead
from .target import Target

__all__ = [
    'ConvNeXtHead',
    'DenseEstimator',
    'DepthTarget',
    'EdgesTarget',
    'EmbeddingTarget',
    'NormalsTarget',
    'PooledMLPHead',
    'RegressionTarget',
    'SaliencyTarget',
    'SoftLabelTarget',
    'Target',
    'VectorTarget',
]
