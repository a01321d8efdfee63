"""How far the tasks' gradients of the weights that they share agree, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.spec import JointSpec, SearchSpace, footprint
from mdl_nas_mm.spec.agreement import pair_name
from mdl_nas_mm.spec.layer_counts import layer_counts, layer_of
from mdl_nas_mm.spec.owners import ALL, BACKBONE
from mdl_nas_mm.tasks import MultiTaskModel

from .balancing import Balancer
from .freeze import used_mask
from .passes import Passes
from .plan import StepPlan

WHOLE = 'all layers'


class _CapturedGradients(Balancer):
    """Keeps the tasks' gradients of shared weights, (K, P), of a step."""

    takes_gradients = True
    rows: Tensor | None = None

    def aggregate(self, gradients: Tensor) -> Tensor:
        """See ``Balancer``."""
        self.rows = gradients
        return gradients.mean(0)


def measure_conflicts(
    model: MultiTaskModel,
    optim_wrapper: OptimWrapper,
    batches: Iterable[Mapping],
    plan: StepPlan,
    joint: JointSpec,
) -> dict[str, Any]:
    """Compares the tasks' gradients of the backbone's shared weights, over some steps' batches.

    Nothing is updated; buffers of batch norms are, as in training. Of a layer that two tasks share
    in part, the elements that both take from the shared weight count.

    Args:
        model: the joint model with all tasks, in one process.
        optim_wrapper: for its context of mixed precision.
        batches: of each step: task, or image group -> its batches, as a ``JointLoader`` gives them.
        plan: of the training.
        joint: the architectures whose gradients are taken.

    Returns:
        ``tasks``, ``joint_spec``, ``steps``, and ``layers`` with ``layer`` and ``role`` (see
        ``layer_counts``), ``cosine`` (``a, b`` -> of these tasks) and ``size`` (task -> the norm of
        its loss's gradient, times its ``loss_weight``): each ``mean``, ``std`` (of a sample; None
        of one) and ``count`` over the steps in which there is any. ``whole`` is the same of all
        layers.
    """
    layers = _Layers(model.backbone, joint)
    parameters = [p for p in model.parameters_by_owners()[ALL] if p.requires_grad]
    of_backbone = {p: f'{BACKBONE}.{name}' for name, p in model.backbone.named_parameters()}
    names, sizes = [of_backbone.get(p) for p in parameters], [p.numel() for p in parameters]
    found: dict[tuple[str, str, str], list[float]] = {}
    steps = 0
    model.train()
    for steps, given in enumerate(batches, 1):
        rows = _rows(model, optim_wrapper, given, plan, joint, steps - 1)
        parts = {task: dict(zip(names, row.split(sizes))) for task, row in rows.items()}
        for key, value in layers.compare(parts):
            found.setdefault(key, []).append(value)
    return dict(
        tasks=list(joint),
        joint_spec=joint.to_dict(),
        steps=steps,
        layers=[_entry(found, layer, role) for layer, role in layers.roles.items()],
        whole=_entry(found, WHOLE, ''),
    )


def most_shared(backbone: ElasticBackbone, spaces: Mapping[str, SearchSpace]) -> JointSpec:
    """The largest architectures, with the share ratios at that end that shares more."""
    ledger = backbone.ledger()
    ends = [JointSpec({t: s.largest(end) for t, s in spaces.items()}) for end in (-1, 0)]
    return max(ends, key=lambda joint: ledger.count(joint).shared)


def _rows(
    model: MultiTaskModel,
    optim_wrapper: OptimWrapper,
    batches: Mapping,
    plan: StepPlan,
    joint: JointSpec,
    step: int,
) -> dict[str, Tensor]:
    """Task -> its gradient of all shared weights, of the tasks that have a loss in a step."""
    kept = _CapturedGradients(tuple(joint))
    passes = Passes(model, optim_wrapper, batches, plan, step, balance=kept)
    for batch in passes.batches():
        with passes.prepared(batch) as data:
            (subnets,) = batch.subnets({task: [spec] for task, spec in joint.items()})
            with passes.shared(subnets, data):
                for task, spec in subnets.items():
                    loss, _ = passes.forward(task, spec, data[task])
                    passes.backward(task, loss, passes.factor(task, batch))
    passes.finish()
    model.zero_grad()
    if kept.rows is None:
        return {}
    # Nothing else is logged in these passes.
    tasks = [key.removesuffix('/grad_norm') for key in passes.losses]
    # A task with more batches than others counts more, but its gradient is not larger.
    counts = [plan.shares[task] * len(plan.shares) for task in tasks]
    return {task: row.double() / n for task, row, n in zip(tasks, kept.rows, counts)}


class _Layers:
    """The shared weights of a backbone, layer by layer.

    Attributes:
        roles: layer -> its role.
    """

    def __init__(self, backbone: ElasticBackbone, joint: JointSpec) -> None:
        ledger = backbone.ledger()
        of_tasks = layer_counts(ledger, joint)['layers'].values()
        self.roles = {each['layer']: each['role'] for layers in of_tasks for each in layers}
        self._names: dict[str, list[str]] = {layer: [] for layer in self.roles}
        self._masks: dict[str, dict[str, Tensor]] = {task: {} for task in joint}
        parameters = dict(backbone.named_parameters())
        for task, spec in joint.items():
            runs: dict[str, list[Tensor]] = {}
            for (name, first), lengths in footprint(ledger, [(task, spec.root)]).items():
                if name in parameters and lengths.any():
                    mask = used_mask(parameters[name], lengths, first)
                    runs.setdefault(name, []).append(mask.reshape(-1))
            masks = {n: reduce(torch.logical_or, each) for n, each in runs.items()}
            self._masks[task] = {f'{BACKBONE}.{name}': mask for name, mask in masks.items()}
        for name in parameters:
            layer, full = layer_of(name), f'{BACKBONE}.{name}'
            if layer in self._names and any(full in masks for masks in self._masks.values()):
                self._names[layer].append(full)

    def compare(
        self, gradients: Mapping[str, Mapping[str | None, Tensor]]
    ) -> Iterator[tuple[tuple[str, str, str], float]]:
        """(layer, 'size' or 'cosine', task or pair) and its number, of one step.

        Args:
            gradients: task -> parameter -> its gradient, (elements,).
        """
        sums: dict[tuple[str, str], Tensor] = {}
        for layer, names in self._names.items():
            for task, own in gradients.items():
                squares = self._sum(own[n].square().sum() for n in names if n in own)
                sums[layer, task] = squares
                if squares > 0:
                    yield (layer, 'size', task), float(squares.sqrt())
            for a, b in combinations(gradients, 2):
                triple = self._products(gradients, a, b, names)
                sums[layer, pair_name(a, b)] = triple
                yield from _cosine(layer, pair_name(a, b), triple)
        for task in gradients:
            total = self._sum(sums[layer, task] for layer in self._names)
            yield (WHOLE, 'size', task), float(total.sqrt())
        for a, b in combinations(gradients, 2):
            triples = [sums[layer, pair_name(a, b)] for layer in self._names]
            yield from _cosine(WHOLE, pair_name(a, b), torch.stack(triples).sum(0))

    def _products(
        self, gradients: Mapping[str, Mapping], a: str, b: str, names: Sequence[str]
    ) -> Tensor:
        """Of what both tasks share: the product of their gradients, and the square of each."""
        total = torch.zeros(3, dtype=torch.float64)
        for name in names:
            if name in gradients[a] and name in self._masks[a] and name in self._masks[b]:
                both = self._masks[a][name] & self._masks[b][name]
                x, y = (gradients[task][name][both] for task in (a, b))
                total += torch.stack((x @ y, x @ x, y @ y)).cpu()
        return total

    def _sum(self, values: Iterable[Tensor]) -> Tensor:
        return torch.stack([torch.zeros(()).double(), *(v.cpu() for v in values)]).sum()


def _cosine(layer: str, pair: str, triple: Tensor) -> Iterator[tuple[tuple[str, str, str], float]]:
    product, first, second = triple.tolist()
    if first > 0 and second > 0:
        yield (layer, 'cosine', pair), product / (first * second) ** 0.5


def _entry(found: Mapping[tuple[str, str, str], list[float]], layer: str, role: str) -> dict:
    entry: dict[str, Any] = dict(layer=layer, role=role, cosine={}, size={})
    for (of, kind, what), values in found.items():
        if of == layer:
            numbers = torch.tensor(values, dtype=torch.float64)
            std = float(numbers.std()) if len(values) > 1 else None
            entry[kind][what] = dict(mean=float(numbers.mean()), std=std, count=len(values))
    return entry
