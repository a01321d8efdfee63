"""Which labels a metric compares with, and whether what is evaluated has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.registry import METRICS

from mdl_nas_mm.utils.randomness import seeded
from mdl_nas_mm.utils.registries import registered

from .failures import in_task
from .scope import task_scope
from .transform_keys import keys_named

# Those of mmdet and mmpose read their labels from a file.
_METRICS_OF_SAMPLES = ('mmseg.', 'mmpretrain.', 'mdl_nas_mm.')


def labels_needed(scope: str, evaluator: Any) -> dict[str, list[str]]:
    """Type of a metric -> the labels of a sample of which it needs one, where it needs any.

    Args:
        scope: the library of the task.
        evaluator: config of one upstream metric, or of several.
    """
    found = {}
    for config in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        kind = registered(config['type'], METRICS, scope)
        if config.get('format_only') or not kind.__module__.startswith(_METRICS_OF_SAMPLES):
            continue
        with task_scope(scope):
            named = keys_named(METRICS.build(dict(config)))
        if needs := sorted(key for key in named if key.startswith('gt_') and key != 'gt_'):
            found[str(config['type'])] = needs
    return found


def check_metrics(task: str, scope: str, evaluator: Any, sample: Mapping) -> None:
    """Raises ValueError for a metric that compares with a label which a sample does not have."""
    has = sample['data_samples'].all_keys()
    for metric, needs in labels_needed(scope, evaluator).items():
        if not set(needs).intersection(has):
            raise ValueError(
                f'task {task!r}: {metric} needs {" or ".join(needs)}, and the pipeline of '
                'its evaluation loads no such label'
            )


def check_first_sample(task: str, scope: str, evaluator: Any, dataset: Any) -> None:
    """As ``check_metrics`` by the first sample, which is loaded if a metric needs labels of it."""
    if labels_needed(scope, evaluator):
        with task_scope(scope), in_task(task, 'evaluation, first sample'), seeded(0):
            sample = dataset[0]
        check_metrics(task, scope, evaluator, sample)
