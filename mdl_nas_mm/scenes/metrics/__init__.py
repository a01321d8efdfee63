"""Metrics of dense tasks, under the definitions of published numbers."""

from .depth import DepthErrorMetric
from .edges import EdgeMetric
from .embedding import EmbeddingMetric
from .normals import NormalsMetric
from .regression import RegressionErrorMetric
from .saliency import SaliencyMetric
from .soft_labels import SoftLabelMetric
from .structural_similarity import StructuralSimilarityMetric

__all__ = [
    'DepthErrorMetric',
    'EdgeMetric',
    'EmbeddingMetric',
    'NormalsMetric',
    'RegressionErrorMetric',
    'SaliencyMetric',
    'SoftLabelMetric',
    'StructuralSimilarityMetric',
]
