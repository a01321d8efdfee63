"""Reads a deposit and takes tasks out of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.known import dimensions_of, family_of, sharing_of
from mdl_nas_mm.elastic.plain import plain_config, set_parameter, statistics_of
from mdl_nas_mm.header.contents import check_task
from mdl_nas_mm.header.manifest import decode, malformed
from mdl_nas_mm.header.names import BACKBONE, head_keys
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.spec.footprint import Footprint
from mdl_nas_mm.spec.layout import Run
from mdl_nas_mm.tasks.model import build_task_model
from mdl_nas_mm.trust import check_config
from mdl_nas_mm.utils.process_wide import process_wide

from .budget import Budget
from .check import check_contents
from .configs import TESTED, check_trusted
from .head_rows import joined, joined_shape
from .kinds import (
    Contents,
    Control,
    Piece,
    TaskSpecificKind,
    control_name,
    control_names,
    kinds_of,
    read_masks,
    segments_among,
)
from .rectangles import as_integers, from_integers
from .regions import Region
from .size_limit import SizeLimit
from .structure import Structure, build_backbone
from .tensor_file import TensorFile, content_hash


class Deposit:
    """A deposit file, opened for reading.

    Nothing of it is trusted: what the manifest says has to agree with the sizes of the tensors
    before anything is built of it, and a tensor with its hash before it is used.

    Args:
        path: the file.
        trust: module and name of classes that its configs may name beside those that are known,
            such as ``my_package.MyHead``. They get whatever the file says.

    Attributes:
        manifest: what the file says of itself; see ``format.md``.
        tasks: task -> its part of the manifest.
        joint: the architecture of each task.
        counts: the ledger of what is stored.
        sharing: the sharing policies.
        kinds: how all of it is stored; see ``kinds_of``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, altered, or no deposit; or its backbone is none that is
            known.
    """

    def __init__(self, path: str | Path, trust: Collection[str] = ()) -> None:
        self.path, self.trust = Path(path), trust
        self._file = TensorFile(path)
        self.manifest = decode(self._file.metadata, str(path), dimensions_of)
        with malformed(f'deposit {path}: manifest'):
            self.tasks: dict[str, dict] = self.manifest['tasks']
            dimensions = dimensions_of(self.manifest['backbone'])
            self.joint = dimensions.read_joint({t: i['spec'] for t, i in self.tasks.items()})
            self.counts = Counts(**self.manifest['counts'])
            self._check_backbone()
            self.sharing = sharing_of(self.manifest['backbone'])
            self.kinds = kinds_of(self.tasks)

    def load_task(self, task: str, device: str | torch.device = 'cpu') -> BaseModel:
        """A task's upstream model with a plain backbone of its architecture, in eval mode.

        The backbone has just the task's weights. Its outputs have the supernet's width, padded
        with zeros, as the head was trained on that.

        Raises:
            ValueError: the deposit has no such task, or a tensor was altered (names it).
        """
        weights = self.backbone_weights(task)
        backbone = self.build_backbone(task)
        for name, parameter in list(backbone.named_parameters()):
            set_parameter(backbone, name, nn.Parameter(weights[name].view(parameter.shape)))
        return self.build_model(task, backbone).to(device).eval()

    def backbone_weights(self, task: str) -> dict[str, Tensor]:
        """Parameter name -> what a task uses of it, (groups * channels, columns of all runs).

        Raises:
            ValueError: the deposit has no such task, or a tensor was altered (names it).
        """
        runs: dict[str, list[Tensor]] = {}
        for (name, _), weight in self.run_weights(task).items():
            runs.setdefault(name, []).append(weight)
        return {name: w[0] if len(w) == 1 else torch.cat(w, dim=1) for name, w in runs.items()}

    def run_weights(self, task: str) -> dict[Run, Tensor]:
        """Run of a parameter -> what a task uses of it; see ``backbone_weights``."""
        pieces = self.pieces(task)
        arrays: dict[str, np.ndarray] = {}

        def read(name: str) -> np.ndarray:
            if name not in arrays:
                arrays[name] = as_integers(self.read(name))
            return arrays[name]

        uses = self.region(task).uses
        # One piece of memory for all: numpy asks for large pages, which are there sooner.
        total, offset, weights = sum(use.size for use in uses.values()), 0, {}
        memory = np.empty(total, as_integers(torch.empty(0, dtype=self.dtype)).dtype)
        for run, use in uses.items():
            flat = memory[offset : offset + use.size]
            offset += use.size
            shape = use.groups * use.channels, use.columns
            weight = flat.reshape(shape)
            for piece in pieces[run]:
                piece.put(weight, read)
            weights[run] = from_integers(flat, self.dtype).view(shape)
        return weights

    def region(self, task: str) -> Region:
        """What a task uses of the backbone; or ValueError for a task that is not there."""
        self.check_task(task)
        return self.structure.regions[self.tasks[task]['region']]

    def pieces(self, task: str) -> dict[Run, list[Piece]]:
        """Run of a parameter -> what a task's weight is assembled from."""
        found: dict[Run, list[Piece]] = {run: [] for run in self.region(task).weights}
        for kind in self.kinds.values():
            for run, pieces in kind.pieces(task, self.contents, self.run_weights).items():
                found[run] += pieces
        return found

    @property
    def is_controlled(self) -> bool:
        """Whether it has what architectures are chosen with when it is used."""
        return 'control' in self.manifest

    def control(self) -> Control:
        """What architectures are chosen with; or ValueError where it has none of that."""
        if not self.is_controlled:
            raise ValueError(
                f'deposit {self.path}: it has one architecture a task, and nothing to choose '
                'others by budget and preferences with; mdl-nas pack-control writes such a file'
            )
        names = control_names(self.manifest['hashes'])
        return Control(self.manifest['control'], {n: self.read(control_name(n)) for n in names})

    @property
    def specific_kinds(self) -> dict[str, TaskSpecificKind]:
        """Task -> how what it alone owns is stored."""
        return {k.task: k for k in self.kinds.values() if isinstance(k, TaskSpecificKind)}

    @cached_property
    def dtype(self) -> torch.dtype:
        """The data type of the backbones' weights."""
        begin = tuple({f'{kind.prefix}/' for kind in self.kinds.values() if kind.has_weights})
        names = (name for name in self._file.entries if name.startswith(begin))
        return next((self._file.entries[name].dtype for name in names), torch.float32)

    def read(self, name: str) -> Tensor:
        """A tensor of the file, a view of its mapping; or ValueError, naming it."""
        if name not in self.manifest['hashes'] or name not in self._file:
            raise ValueError(f'deposit {self.path}: {name!r} is missing')
        tensor = self._file[name]
        if content_hash(tensor) != self.manifest['hashes'][name]:
            raise ValueError(
                f'deposit {self.path} was altered: {name!r} does not match its checksum'
            )
        return tensor

    def is_whole(self, name: str) -> bool:
        """Whether a tensor is there and undamaged."""
        try:
            return self.read(name) is not None
        except ValueError:
            return False

    def names(self) -> list[str]:
        """Every tensor that is in the file or should be."""
        return sorted({*self._file.entries, *self.manifest['hashes']})

    def size_of(self, prefix: str | tuple[str, ...]) -> int:
        """Bytes of the tensors whose names begin so, or in one of several ways."""
        entries = self._file.entries.items()
        return sum(entry.end - entry.start for name, entry in entries if name.startswith(prefix))

    def head_names(self, task: str) -> dict[str, tuple[str, ...]]:
        """Key of a task's upstream model -> the tensors that have it; see ``joined``."""
        return head_keys(task, self._file.entries)

    def read_all(self) -> dict[str, Tensor]:
        """Every tensor of the file."""
        return {name: self.read(name) for name in self._file.entries}

    def check_task(self, task: str | None) -> None:
        """Raises ValueError for a task that is not in the deposit."""
        check_task(self.path, task, self.tasks)

    def copy_manifest(self) -> dict[str, Any]:
        """A manifest to change."""
        return copy.deepcopy(self.manifest)

    @property
    def structure(self) -> Structure:
        """Where all weights lie, once it is known that they do."""
        return self.contents.structure

    @cached_property
    def contents(self) -> Contents:
        """All that is in it, once it is known that it fits together."""
        entries = self._file.entries
        with malformed(f'deposit {self.path}: manifest'):
            budget = Budget(self.path.stat().st_size)
            structure = Structure.of(self.manifest, read_masks(entries, self.read), budget)
            contents = Contents(structure, self.tasks, entries, self.dtype)
            check_contents(contents, self.manifest, self.kinds)
        return contents

    def stored(self) -> Footprint:
        """Which shared elements the file has: of each row of a run so many first ones."""
        structure = self.structure
        return structure.segments.lengths(self.stored_segments(), structure.row_counts())

    def stored_segments(self) -> list[str]:
        """The segments of shared weights that the file has."""
        return sorted(segments_among(self._file.entries))

    def check_same_backbone(self, backbone: ElasticBackbone, dtype: torch.dtype | None) -> None:
        """Raises ValueError unless a backbone has the deposit's sharing, sizes and, given one,
        data type."""
        where = f'deposit {self.path}: its backbone is another one'
        if backbone.sharing != self.sharing:
            raise ValueError(f'{where}: sharing is {self.sharing}, not {backbone.sharing}')
        if dtype is not None and dtype != self.dtype:
            raise ValueError(f'{where}: its weights are {self.dtype}, not {dtype}')
        for task, spec in self.joint.items():
            ours = {use.run: use for use in backbone.layout.uses(spec)}
            for run, use in self.region(task).uses.items():
                # Swin has norms just of the stages that its tasks take.
                if ours.get(run, use) != use:
                    raise ValueError(f'{where}: {run[0]!r} has another size')

    def build_backbone(self, task: str) -> ElasticBackbone:
        """A task's plain backbone without weights: its parameters are on the meta device."""
        with malformed(f'deposit {self.path}: manifest'):
            return build_backbone(
                plain_config(
                    self.manifest['backbone'],
                    self.batch_of(task)['settings'],
                    self.joint[task],
                    family_of(self.manifest['backbone']),
                    self.structure.layout.shape,
                )
            )

    def validation(self, task: str) -> tuple[Mapping, Any]:
        """Configs of the loader and the evaluator that a task is tested with.

        Raises:
            ValueError: the deposit has no such task or no such config, or names a class that is
                not trusted.
        """
        self.check_task(task)
        info = self.tasks[task]
        for key in TESTED:
            if key not in info:
                raise ValueError(f'deposit {self.path}: no {key} of task {task!r} was stored')
            self.check_trusted(task, key)
        return tuple(copy.deepcopy(info[key]) for key in TESTED)

    def check_trusted(self, task: str, part: str) -> None:
        """Raises ValueError for what a part of a task's config must not name."""
        with malformed(f'deposit {self.path}'):
            check_trusted(task, self.tasks[task], part, self.trust)

    def build_model(
        self, task: str, backbone: nn.Module, read: Callable[[str], Tensor] | None = None
    ) -> BaseModel:
        """A task's upstream model with its stored head, around a backbone.

        Args:
            task: its name in the deposit.
            backbone: which the model reaches as its own, without owning it.
            read: name -> the tensor of the file that the model takes as it is; by default a copy.
        """
        info, entries = self.tasks[task], self._file.entries
        self.check_trusted(task, 'model')
        where = f'deposit {self.path}: model of task {task!r}'
        with malformed(where):
            names = self.head_names(task)
            shapes = {k: joined_shape([entries[n].shape for n in ns]) for k, ns in names.items()}
        stored = sum(map(math.prod, shapes.values()))
        # The limit's hook is of all threads: none may make modules while it comes or goes.
        with malformed(where), process_wide(), SizeLimit(stored, len(names), where):
            model = build_task_model(ConfigDict(copy.deepcopy(info)), nn.Identity())
        own = model.state_dict()
        if isinstance(backbone, ElasticBackbone):
            norms = {BACKBONE + key: value for key, value in statistics_of(backbone).items()}
            own |= norms
            wrong = [key for key in norms if key not in names]
        else:
            norms, wrong = {}, []
            shapes = {k: shape for k, shape in shapes.items() if not k.startswith(BACKBONE)}
        wrong += [key for key in own if not key.startswith(BACKBONE) and key not in names]
        wrong += [key for key, shape in shapes.items() if key not in own or own[key].shape != shape]
        if wrong:
            raise ValueError(f'deposit {self.path}: {wrong[0]!r} of task {task!r} does not fit')
        read = read or (lambda name: self.read(name).clone())
        with malformed(where):
            state = {key: joined([read(name) for name in each]) for key, each in names.items()}
        requires_grad = {name: p.requires_grad for name, p in model.named_parameters()}
        model.load_state_dict(state, strict=False, assign=True)
        own_norms = {key.removeprefix(BACKBONE): state[key] for key in norms}
        backbone.load_state_dict(own_norms, strict=False, assign=True)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(requires_grad[name])
        with process_wide():
            model.backbone = backbone
        return model

    def _check_backbone(self) -> None:
        """Raises ValueError unless the backbone's class and its settings are known."""
        config = self.manifest['backbone']
        # Nothing here reads these.
        given = {k: v for k, v in config.items() if k not in ('init_cfg', 'arch', 'tasks', 'task')}
        check_config('mdl_nas_mm', given, 'backbone', self.trust)
        for batch in self.manifest['history']:
            for label, region in batch['regions'].items():
                settings = dict(region['settings'], type=config.get('type'))
                check_config('mdl_nas_mm', settings, f'region {label!r}', self.trust)

    def batch_of(self, task: str) -> Mapping:
        label = self.tasks[task]['region']
        return next(b['regions'][label] for b in self.manifest['history'] if label in b['regions'])
