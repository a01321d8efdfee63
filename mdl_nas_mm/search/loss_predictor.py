"""A learned predictor of all tasks' losses, of one encoder and their decoders (ECMT, Algorithm 3).

It is a network of three layers and a last one with an output for each task: what Algorithm 3 writes
as a linear layer a task is one of all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.utils.randomness import seeded
from mdl_nas_mm.utils.rank_correlation import kendall, spearman

from .columns import JointColumns
from .layers_training import LayersTraining
from .predictor_files import opened_predictor, save_predictor

_WIDTHS = (100, 100, 50)
_FEWEST = 20
_HELD_OUT = 0.1


@dataclass(frozen=True)
class PredictorSettings:
    """How a predictor is trained; the paper's numbers."""

    epochs: int = 150
    batch_size: int = 16
    rate: float = 1e-3
    seed: int = 0


class LossPredictor:
    """Predicts the losses of all tasks.

    Args:
        about: ``tasks``, ``columns`` (see ``signature``), and ``held_out``: of each task the mean
            absolute error ``error``, and rank correlations ``kendall`` and ``spearman``, over
            ``samples`` that it had not seen.
        weights: tensors of the network, and ``mean`` and ``scale`` of each task's losses.
    """

    def __init__(self, about: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        self.about, self.weights = dict(about), dict(weights)
        self.tasks: list[str] = list(about['tasks'])
        self._arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        self._layers = [
            (self._arrays[f'{2 * i}.weight'].T, self._arrays[f'{2 * i}.bias'])
            for i in range(len(_WIDTHS) + 1)
        ]

    @property
    def scales(self) -> list[float]:
        """By what each task's losses differ between architectures."""
        return self._arrays['scale'].tolist()

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(w.size + b.size for w, b in self._layers)

    def __call__(self, encoded: np.ndarray) -> np.ndarray:
        """(n, tasks) losses of (n, columns) rows that ``JointColumns.encoded`` gave."""
        rows = encoded
        for weight, bias in self._layers[:-1]:
            rows = np.maximum(rows @ weight + bias, 0)
        weight, bias = self._layers[-1]
        found = rows @ weight + bias
        return found.astype(np.float64) * self._arrays['scale'] + self._arrays['mean']

    @classmethod
    def fit(
        cls,
        columns: JointColumns,
        rows: np.ndarray,
        losses: np.ndarray,
        settings: PredictorSettings | None = None,
        on_epoch: Callable[[int], None] | None = None,
    ) -> LossPredictor:
        """Learns from most of the samples, and tells how well it predicts the others.

        Args:
            columns: of the architectures.
            rows: (n, columns) places.
            losses: (n, tasks) measured losses, of the tasks of ``columns`` in their order.
            settings: of the training.
            on_epoch: called with the number of epochs that are done.

        Raises:
            ValueError: there are too few samples.
        """
        settings = settings or PredictorSettings()
        check_samples(len(rows))
        order = np.random.default_rng(settings.seed).permutation(len(rows))
        unseen, seen = np.split(order, [max(2, round(_HELD_OUT * len(rows)))])
        encoded = columns.encoded(rows)
        mean, scale = losses[seen].mean(0), losses[seen].std(0)
        scale = np.where(scale > 0, scale, 1.0)
        targets = ((losses - mean) / scale).astype(np.float32)
        weights = _trained(encoded[seen], targets[seen], settings, on_epoch)
        weights |= dict(mean=torch.from_numpy(mean), scale=torch.from_numpy(scale))
        about = dict(tasks=list(columns.spaces), columns=signature(columns))
        found = cls(about, weights)
        predicted = found(encoded[unseen])
        found.about['held_out'] = {
            task: _agreement(losses[unseen, i], predicted[:, i])
            for i, task in enumerate(found.tasks)
        }
        return found

    def check(self, columns: JointColumns, name: str | Path = '') -> None:
        """Raises ValueError, naming its file, unless it is of these tasks and choices."""
        where = f'predictor {name}'.rstrip()
        theirs, ours = self.about['columns'], signature(columns)
        if self.tasks != list(columns.spaces):
            raise ValueError(
                f'{where}: it is of the tasks {self.tasks}, not of {list(columns.spaces)}; learn '
                'it anew with mdl-nas predictor'
            )
        for key in ours:
            if theirs.get(key) != ours[key]:
                raise ValueError(
                    f'{where}: it is of another space, which differs in {key!r}; learn it anew '
                    'with mdl-nas predictor'
                )

    def save(self, path: str | Path) -> None:
        """Writes tensors and JSON into one safetensors file."""
        save_predictor(path, self.weights, 'loss_predictor', self.about)

    @classmethod
    def load(cls, path: str | Path) -> LossPredictor:
        """Reads what ``save`` wrote; nothing in it is executed.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no predictor of losses.
        """
        with opened_predictor(path, 'loss_predictor') as (about, tensors):
            return cls.of(about, tensors)

    @classmethod
    def of(cls, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LossPredictor:
        """From what a file kept, or any error where that does not go together."""
        columns = sum(len(own) for own in about['columns'].values())
        tasks = len(about['tasks'])
        expected = _network(columns, tasks).state_dict()
        sizes = {name: tuple(value.shape) for name, value in expected.items()}
        sizes |= dict(mean=(tasks,), scale=(tasks,))
        for name, size in sizes.items():
            if tuple(tensors[name].shape) != size or not tensors[name].isfinite().all():
                raise ValueError(f'{name} is of another size, or not finite')
        return cls(about, {name: tensors[name] for name in sizes})


def check_samples(count: int) -> None:
    """Raises ValueError for fewer samples than can be learned from."""
    if count < _FEWEST:
        raise ValueError(f'predictor: {count} samples, expected at least {_FEWEST}')


def signature(columns: JointColumns) -> dict[str, list]:
    """What a predictor is of: the choices of the encoder and of each decoder, as JSON has them."""
    parts = {'encoder': range(columns.encoder)} | columns.decoders
    found = {}
    for name, numbers in parts.items():
        own = [columns.columns[number] for number in numbers]
        found[name] = [[c.stage, c.key, c.block, list(c.choices)] for c in own]
    return json.loads(json.dumps(found))


def _network(columns: int, tasks: int) -> nn.Sequential:
    sizes, layers = (columns, *_WIDTHS), []
    for before, after in zip(sizes, sizes[1:]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], tasks))


def _trained(
    rows: np.ndarray,
    targets: np.ndarray,
    settings: PredictorSettings,
    on_epoch: Callable[[int], None] | None,
) -> dict[str, Tensor]:
    """Weights of a network that has learned targets (n, tasks) by their absolute differences."""
    with seeded(settings.seed):
        network = _network(rows.shape[1], targets.shape[1])
        linear = [layer for layer in network if isinstance(layer, nn.Linear)]
        start = [(own.weight.detach().numpy(), own.bias.detach().numpy()) for own in linear]
        training = LayersTraining(start, settings.rate)
        for epoch in range(settings.epochs):
            order = torch.randperm(len(rows)).numpy()
            training.epoch(rows, targets, _batches(order, settings.batch_size))
            if on_epoch:
                on_epoch(epoch + 1)
    weights = {}
    for number, (weight, bias) in enumerate(training.layers):
        weights[f'{2 * number}.weight'] = torch.from_numpy(weight.copy())
        weights[f'{2 * number}.bias'] = torch.from_numpy(bias.copy())
    return weights


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(order, range(size, len(order), size))


def _agreement(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    return dict(
        samples=len(measured),
        error=float(np.abs(measured - predicted).mean()),
        kendall=kendall(measured, predicted),
        spearman=spearman(measured, predicted),
    )


def accuracy_lines(held_out: Mapping[str, Mapping[str, float | None]]) -> Sequence[str]:
    """A line for each task: how well its losses are predicted."""
    return [
        f'{task}: error {own["error"]:.4f}, rank correlations kendall {own["kendall"] or 0:.3f}, '
        f'spearman {own["spearman"] or 0:.3f}, over {own["samples"]} architectures not seen'
        for task, own in held_out.items()
    ]
