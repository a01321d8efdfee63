"""F-measures of edges, by matching predicted with labelled pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import cKDTree
from torch import Tensor

from mdl_nas_mm.registry import METRICS
from mdl_nas_mm.utils.amounts import check_at_least, check_count

from ..labels import EDGES
from ..thinning import thin
from .dense_metric import DenseMetric
from .saliency import f_measure


@METRICS.register_module()
class EdgeMetric(DenseMetric):
    """``odsF`` and ``oisF``: the F-measure of edges at the best threshold of all, or of each image.

    At each threshold the predicted edges are thinned, and as many of their pixels as possible are
    matched with labelled ones, one with one, that are no farther than ``max_distance`` (Martin et
    al., 2004). Precision is the share of predicted pixels that are matched, recall that of labelled
    ones, both over the whole data set. Between two thresholds both are interpolated, as the
    published code does. That code matches by least cost, where leaving a pixel out costs a hundred
    times the distance; how many are matched is all that counts of it, and is largest here.

    Implemented here, on scipy's maximum flow: the library for it, pyEdgeEval (MIT), is an alpha
    release with wheels for Python 3.8 alone.

    Args:
        max_distance: as a part of the image's diagonal: 0.0075 for PASCAL, 0.011 for NYUD.
        thresholds: how many, evenly spaced between 0 and 1. 99 are published; an image of 480 x
            640 pixels takes about 5 s then. Fewer, such as 9, are for validations in a training.
        collect_device, prefix: see mmengine's ``BaseMetric``.
    """

    prediction = 'pred_edges'
    label = EDGES.field

    def __init__(
        self,
        max_distance: float = 0.0075,
        thresholds: int = 99,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        check_at_least(max_distance, 0, 'EdgeMetric: max_distance is')
        check_count('EdgeMetric', 'thresholds', thresholds, 1)
        self.max_distance = max_distance
        self.thresholds = np.linspace(0, 1, thresholds + 2)[1:-1]

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Rows of matched, predicted and labelled pixels, by threshold."""
        found = prediction.squeeze().float().cpu().numpy()
        truth = label.squeeze().cpu().numpy()
        radius = self.max_distance * np.hypot(*truth.shape)
        labelled = np.argwhere((truth > 0.5) & (truth != EDGES.invalid))
        # What is predicted where nothing is known is neither right nor wrong.
        known = truth != EDGES.invalid
        columns = []
        last, counts = None, (0, 0)
        for threshold in self.thresholds:
            edges = found >= threshold
            if last is None or not np.array_equal(edges, last):
                predicted = np.argwhere(thin(edges) & known)
                counts = matched(predicted, labelled, radius), len(predicted)
                last = edges
            columns.append((*counts, len(labelled)))
        return np.array(columns).T

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        images = np.stack(results).astype(float)
        total = images.sum(0)
        best = images[np.arange(len(images)), :, [_best(image)[1] for image in images]].sum(0)
        return dict(odsF=_best(total)[0], oisF=float(f_measure(*_rates(best))))


def matched(first: np.ndarray, second: np.ndarray, radius: float) -> int:
    """How many points (N, 2) can be matched with points (M, 2) no farther than a radius.

    The largest flow from a source through the first and the second points to a sink: on such
    graphs it is found much sooner than by scipy's matching of bipartite ones.
    """
    if not len(first) or not len(second):
        return 0
    pairs = cKDTree(first).sparse_distance_matrix(
        cKDTree(second), radius * (1 + 1e-9), output_type='coo_matrix'
    )
    source, sink = 0, len(first) + len(second) + 1
    ours = 1 + np.arange(len(first))
    theirs = 1 + len(first) + np.arange(len(second))
    begins = np.concatenate([np.full(len(first), source), ours[pairs.row], theirs])
    ends = np.concatenate([ours, theirs[pairs.col], np.full(len(second), sink)])
    ones = np.ones(len(begins), np.int32)
    graph = csr_matrix((ones, (begins, ends)), shape=(sink + 1, sink + 1))
    return int(maximum_flow(graph, source, sink, method='dinic').flow_value)


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of rows of matched, predicted and labelled pixels."""
    hits, predicted, labelled = counts
    return hits / np.maximum(predicted, 1), hits / np.maximum(labelled, 1)


def _best(counts: np.ndarray) -> tuple[float, int]:
    """The largest F, between thresholds too, and the threshold that has the largest by itself."""
    precision, recall = _rates(counts)
    at = f_measure(precision, recall)
    part = np.linspace(0, 1, 100)[:, None]
    mixed = [part * rate[1:] + (1 - part) * rate[:-1] for rate in (precision, recall)]
    between = f_measure(mixed[0], mixed[1])
    return float(max(at.max(), between.max(initial=0))), int(at.argmax())
