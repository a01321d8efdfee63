"""A learned predictor of scores: a small network a task, on what its architecture chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.utils.randomness import seeded
from mdl_nas_mm.utils.rank_correlation import kendall, spearman

from .encoding import Encoder
from .predictor_files import opened_predictor, save_predictor
from .scored import Pair, Scored

# Scores of a task that can be learned from.
FEWEST = 10
_FOLDS = 5
_HIDDEN = 64
_STEPS = 200
_RATE = 1e-2


class Predictor:
    """Predicts what a task scores with an architecture.

    Args:
        spaces: task -> the space that it was trained in, as ``SearchSpace.choices`` gives it.
        networks: task -> its network.
        held_out: task -> ``records``, and rank correlations ``kendall`` and ``spearman`` of
            scores with predictions by networks that had not seen them.
    """

    def __init__(
        self,
        spaces: Mapping[str, list],
        networks: Mapping[str, ScoreNetwork],
        held_out: Mapping[str, Mapping[str, float | None]],
    ) -> None:
        self.spaces, self.networks, self.held_out = dict(spaces), dict(networks), dict(held_out)
        self._encoders = {task: Encoder(space) for task, space in self.spaces.items()}

    @classmethod
    def fit(
        cls,
        scored: Scored,
        spaces: Mapping[str, SearchSpace],
        seed: int = 0,
        on_task: Callable[[str, Mapping[str, float | None]], None] | None = None,
    ) -> Predictor:
        """Learns from scores, and tells how well by cross-validation.

        The same scores and seed give the same predictor on the same machine.

        Args:
            scored: task -> architecture -> score.
            spaces: task -> where its architectures are from.
            seed: of the initial weights and of what is held out.
            on_task: called with each task that is done and its ``held_out``.

        Raises:
            ValueError: a task has too few scores, or an architecture is of another space.
        """
        for task in spaces:
            count = len(scored[task])
            if count < FEWEST:
                raise ValueError(
                    f'predictor: task {task!r} has {count} scores, expected at least {FEWEST}'
                )
        configs = {task: space.choices() for task, space in spaces.items()}
        networks, held_out = {}, {}
        for task, config in configs.items():
            specs, scores = list(scored[task]), np.array(list(scored[task].values()))
            rows = Encoder(config)(specs)
            unseen = _cross_validated(rows, scores, seed)
            held_out[task] = dict(
                records=len(specs),
                kendall=kendall(scores, unseen),
                spearman=spearman(scores, unseen),
            )
            networks[task] = ScoreNetwork.fit(rows, scores, seed)
            if on_task:
                on_task(task, held_out[task])
        return cls(configs, networks, held_out)

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        """The predicted scores of (task, architecture) pairs."""
        found: dict[Pair, float] = {}
        for task in dict.fromkeys(task for task, _ in pairs):
            specs = [spec for owner, spec in pairs if owner == task]
            values = self.networks[task].predict(self._encoders[task](specs))
            found.update(zip(((task, spec) for spec in specs), values.tolist()))
        return [found[pair] for pair in pairs]

    def check(self, spaces: Mapping[str, SearchSpace], name: str | Path = '') -> None:
        """Raises ValueError, naming its file, unless it knows these tasks, and the extremes of
        their spaces."""
        where = f'predictor {name}'.rstrip()
        for task, space in spaces.items():
            if task not in self.spaces:
                raise ValueError(f'{where}: it is of {sorted(self.spaces)}, not of task {task!r}')
            try:
                extremes = (space.smallest(0), space.smallest(), space.largest(0), space.largest())
                self._encoders[task](extremes)
            except ValueError as error:
                raise ValueError(f'{where}: task {task!r} had another space: {error}') from None

    def save(self, path: str | Path) -> None:
        """Writes tensors and JSON into one safetensors file."""
        tensors = {
            f'{task}.{name}': value.contiguous()
            for task, network in self.networks.items()
            for name, value in network.state_dict().items()
        }
        about = dict(spaces=self.spaces, held_out=self.held_out)
        save_predictor(path, tensors, 'predictor', about)

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Reads what ``save`` wrote; nothing in it is executed.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no predictor.
        """
        with opened_predictor(path, 'predictor') as (about, tensors):
            networks = {}
            for task, space in about['spaces'].items():
                networks[task] = ScoreNetwork(len(Encoder(space).columns))
                names = networks[task].state_dict()
                state = {name: tensors[f'{task}.{name}'] for name in names}
                if not all(value.isfinite().all() for value in state.values()):
                    raise ValueError(f'task {task!r}: a weight is not finite')
                networks[task].load_state_dict(state)
            return cls(about['spaces'], networks, about['held_out'])


class ScoreNetwork(nn.Module):
    """A linear map beside a network of two hidden layers; (B, columns) -> (B,).

    What single choices add to a score is learned from few scores, what they do together from more.

    Args:
        columns: of an encoded architecture.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.linear = nn.Linear(columns, 1)
        self.hidden = nn.Sequential(
            nn.Linear(columns, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, 1),
        )
        # Of the scores that it has learned.
        self.register_buffer('mean', torch.zeros(()))
        self.register_buffer('scale', torch.ones(()))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (self.linear(rows) + self.hidden(rows)).squeeze(1)

    @torch.no_grad()
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) scores."""
        return (self.mean + self.scale * self(torch.from_numpy(rows))).double().numpy()

    @classmethod
    def fit(cls, rows: np.ndarray, scores: np.ndarray, seed: int) -> ScoreNetwork:
        """A network that has learned the scores of encoded architectures."""
        with seeded(seed):
            network = cls(rows.shape[1])
        inputs, targets = torch.from_numpy(rows), torch.from_numpy(scores).float()
        network.mean.fill_(targets.mean())
        network.scale.fill_(targets.std() or 1.0)
        targets = (targets - network.mean) / network.scale
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.1)
        with torch.enable_grad():
            for step in range(_STEPS):
                for group in optimizer.param_groups:
                    group['lr'] = _RATE * (1 + math.cos(math.pi * step / _STEPS)) / 2
                optimizer.zero_grad()
                (network(inputs) - targets).square().mean().backward()
                optimizer.step()
        return network.eval()


def _cross_validated(rows: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """The prediction of each score by a network that learned from others."""
    order = np.random.default_rng(seed).permutation(len(scores))
    found = np.zeros(len(scores))
    for fold in range(_FOLDS):
        held_out = order[fold::_FOLDS]
        seen = np.setdiff1d(order, held_out)
        network = ScoreNetwork.fit(rows[seen], scores[seen], seed)
        found[held_out] = network.predict(rows[held_out])
    return found
