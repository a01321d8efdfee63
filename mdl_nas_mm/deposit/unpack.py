"""Reads a deposit and takes tasks out of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import (
    Counts,
    JointSpec,
    ParamUse,
    SearchSpace,
    Sharing,
    row_lengths,
    specific_name,
)
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.tasks.model import build_task_model

from .manifest import decode, tensor_hash
from .rows import paste_rows


class Deposit:
    """A deposit file, opened for reading.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, altered, or no deposit.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'deposit {path} is not there')
        try:
            self._file = safe_open(self.path, 'pt')
        except (SafetensorError, OSError) as error:
            raise ValueError(f'{path} is cut short or no deposit ({error})') from None
        self.manifest = decode(self._file.metadata(), str(path))
        self.tasks: dict[str, dict] = self.manifest['tasks']
        self.joint = JointSpec.from_dict({t: task['spec'] for t, task in self.tasks.items()})
        self.counts = Counts(**self.manifest['counts'])
        self.sharing = Sharing.from_config(self.manifest['backbone'].get('sharing'))

    def load_task(self, task: str, device: str | torch.device = 'cpu') -> nn.Module:
        """A task's upstream model with a plain backbone of its architecture, in eval mode.

        The backbone has just the task's weights. Its outputs have the supernet's width, padded
        with zeros, as the head was trained on that.

        Raises:
            ValueError: the deposit has no such task, or a tensor was altered (names it).
        """
        backbone = self._backbone(task)
        config = ConfigDict(self.tasks[task])
        model = build_task_model(config, nn.Identity())
        model.backbone = backbone
        prefix = f'head/{task}/'
        state = {k.removeprefix(prefix): self._read(k) for k in self._keys if k.startswith(prefix)}
        result = model.load_state_dict(state, strict=False)
        wrong = result.unexpected_keys or [
            key for key in result.missing_keys if not key.startswith('backbone.')
        ]
        if wrong:
            raise ValueError(f'deposit {self.path}: {wrong[0]!r} of task {task!r} does not fit')
        return model.to(device).eval()

    def backbone_weights(self, task: str) -> dict[str, Tensor]:
        """Parameter name -> what a task uses of it, (groups * channels, columns).

        Raises:
            ValueError: the deposit has no such task, or a tensor was altered (names it).
        """
        if task not in self.tasks:
            raise ValueError(f'deposit {self.path}: no task {task!r}, it has {sorted(self.tasks)}')
        uses = self._supernet.layout.uses(self.joint[task])
        return {use.name: self._weight(task, use) for use in uses}

    @cached_property
    def _keys(self) -> list[str]:
        return list(self._file.keys())

    @cached_property
    def _supernet(self) -> ElasticBackbone:
        """The supernet's backbone without memory, for its layout alone."""
        config = dict(self.manifest['backbone'])
        with task_scope('mdl_nas_mm'), torch.device('meta'):
            return MODELS.build(config)

    def _backbone(self, task: str) -> ElasticBackbone:
        weights = self.backbone_weights(task)
        spec, config = self.joint[task], dict(self.manifest['backbone'])
        config.update(
            self._supernet.settings_of(task, spec),
            space=SearchSpace.fixed(spec).to_config(),
            sharing=None,
            tasks=(),
            task=None,
            arch=None,
        )
        with task_scope('mdl_nas_mm'):
            backbone = MODELS.build(config)
        with torch.no_grad():
            for name, parameter in backbone.named_parameters():
                if name not in weights:
                    raise ValueError(f'deposit {self.path}: {name!r} is missing')
                parameter.copy_(weights[name].reshape(parameter.shape))
        return backbone

    def _weight(self, task: str, use: ParamUse) -> Tensor:
        """What a task uses of one parameter, (groups * channels, columns)."""
        shared = self._shared_rows(task, use)
        weight = torch.empty(use.groups * use.channels, use.columns)
        for rows in (shared, ~shared):
            if rows.any():
                name = use.name if rows is shared else specific_name(use.name, task)
                lengths = self._lengths(use) if rows is shared else row_lengths(use, rows)
                indices = np.flatnonzero(row_lengths(use, rows))
                flat = self._read(f'backbone/{name}')
                if len(flat) != lengths.sum():
                    raise ValueError(
                        f'deposit {self.path}: {name!r} has {len(flat)} elements, '
                        f'not {lengths.sum()}'
                    )
                picked = paste_rows(flat, lengths, indices, use.columns)
                weight[torch.from_numpy(rows.reshape(-1).copy())] = picked
        return weight

    def _shared_rows(self, task: str, use: ParamUse) -> np.ndarray:
        """Boolean (groups, channels): which rows a task takes from the shared weight."""
        policy = self.sharing[use.role]
        if not policy.has_scores:
            return policy.shared_channels(use.share_ratio, use.channels, use.groups, None).copy()
        bits = self._read(f'mask/{task}/{use.layer}').numpy()
        rows = np.unpackbits(bits, count=use.groups * use.channels).astype(bool)
        return rows.reshape(use.groups, use.channels)

    def _lengths(self, use: ParamUse) -> np.ndarray:
        """Stored elements of each row of a shared parameter, as the union over all tasks."""
        lengths = np.zeros(use.groups * use.max_channels, np.int64)
        for task, spec in self.joint.items():
            for other in self._supernet.layout.uses(spec):
                if other.name == use.name:
                    new = row_lengths(other, self._shared_rows(task, other))
                    lengths = np.maximum(lengths, new)
        return lengths

    def _read(self, name: str) -> Tensor:
        if name not in self.manifest['sha256'] or name not in self._keys:
            raise ValueError(f'deposit {self.path}: {name!r} is missing')
        tensor = self._file.get_tensor(name)
        if tensor_hash(tensor) != self.manifest['sha256'][name]:
            raise ValueError(
                f'deposit {self.path} was altered: {name!r} does not match its checksum'
            )
        return tensor
