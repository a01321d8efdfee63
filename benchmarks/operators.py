"""Where the time of a call goes, by kind of operator."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

# Beginnings of torch's names. What a call does beside operators is Python's own time.
KINDS = {
    'products': ('addmm', 'mm', 'bmm', 'baddbmm'),
    'attention': ('_scaled_dot', '_softmax', 'softmax'),
    'convolutions': ('mkldnn_convolution', 'slow_conv', 'thnn_conv', '_slow_conv'),
    'norms and activations': (
        'native_layer_norm',
        'native_group_norm',
        'native_batch_norm',
        'gelu',
    ),
    'comparing': ('sub', 'abs', 'pow', 'square', 'mean', 'sum', 'linalg_vector_norm', 'gt', 'le'),
    'gathering': ('index', 'gather', 'scatter', 'nonzero', 'where', 'masked', 'cat', 'copy_'),
}


def by_kind(run: Callable[[Tensor], object], images: Iterable[Tensor]) -> dict[str, float]:
    """Milliseconds of a call: in all, of each kind of operator, and of Python.

    Means over the images but the first. The profiler lengthens all that is short, Python most.
    """
    first, *images = images
    found: Counter[str] = Counter()
    with torch.no_grad():
        run(first)
        started = time.perf_counter()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for image in images:
                run(image)
        found['all'] = 1000 * (time.perf_counter() - started)
    for event in seen.key_averages():
        found[_kind_of(event.key)] += event.self_cpu_time_total / 1000
    found['python'] = found['all'] - sum(value for key, value in found.items() if key != 'all')
    return {key: round(value / len(images), 2) for key, value in found.items()}


def _kind_of(operator: str) -> str:
    name = operator.removeprefix('aten::')
    return next(
        (kind for kind, names in KINDS.items() if name.startswith(names)), 'other operators'
    )
