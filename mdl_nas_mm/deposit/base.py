"""A deposit as the base of new tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.registry import BASES, WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import JointSpec, footprint
from mdl_nas_mm.spec.layout import names_of_some
from mdl_nas_mm.spec.owners import owners_of, read_name, score_name

from .fill import fill
from .unpack import Deposit


@BASES.register_module()
@WEIGHT_INITIALIZERS.register_module()
class DepositBase:
    """Starts new tasks from a deposit; see ``mdl_nas_mm.tasks.Base``.

    What the deposit does not store is zero, and no answer depends on it.

    Args:
        path: the deposit.
        inherit: the task whose own weights the new ones start from.
        trust: see ``Deposit``.
    """

    file_refusal = 'loads a checkpoint that it is told'

    what = 'a deposit'
    is_whole = False

    def __init__(self, path: str, inherit: str | None, trust: Collection[str] = ()) -> None:
        self.path, self.inherit, self.trust = path, inherit, trust

    @property
    def _task(self) -> str:
        """The inherited task; all but the names of the tasks is asked for with one."""
        assert self.inherit is not None
        return self.inherit

    @staticmethod
    def reads(path: str) -> bool:
        """Any file that is no checkpoint; one that is no deposit is told why when it is opened."""
        return Path(path).suffix != '.pth'

    @staticmethod
    def init_cfg(
        path: str, inherit: str | None, trust_checkpoint: bool, trust: Collection[str]
    ) -> dict[str, Any]:
        """See ``Base``."""
        init_cfg = dict(type='mdl_nas_mm.DepositBase', path=path, inherit=inherit)
        return {**init_cfg, 'trust': tuple(trust)} if trust else init_cfg

    @property
    def backbone(self) -> Mapping:
        """Config of the backbone that was deposited, with the outputs of the inherited task."""
        config = dict(self._deposit.manifest['backbone'])
        settings = self._deposit.batch_of(self._task)['settings']
        first = self._deposit.manifest['history'][0]['regions']
        for key, setting in family_of(config).task_settings.items():
            if key not in settings:
                continue
            given, value = config.get(key), settings[key]
            # What was packed first is in the config; a later task may have the name of one of it.
            if self._label in first:
                value = given[self.inherit] if isinstance(given, Mapping) else given
            elif setting.of_largest is not None:
                largest = self._deposit.structure.layout.space.largest()
                value = setting.of_largest(value, self.joint[self._task], largest)
            if value is not None:
                config[key] = {self.inherit: value}
        return config

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in it."""
        return tuple(self._deposit.tasks)

    @property
    def joint(self) -> JointSpec:
        """Their architectures."""
        return self._deposit.joint

    @torch.no_grad()
    def __call__(self, module: ElasticBackbone) -> None:
        """Fills the shared weights, and every task's own with those of the inherited task.

        Raises:
            FileNotFoundError, ValueError: see ``Deposit``; or a shared weight is missing.
        """
        new = names_of_some(module.layout)
        new.difference_update(name for name, _ in self._deposit.region(self._task).weights)
        for name, parameter in module.named_parameters():
            # What the inherited task has none of begins as in a new backbone.
            if read_name(name).plain not in new:
                parameter.zero_()
        for task in module.tasks:
            fill(self._deposit, module, self._task, as_task=task)
        self._share_alike(module)
        self._check_stored(module)

    def entries(self, task: str, module: str) -> dict[str, Tensor]:
        """See ``Base``."""
        found = {}
        for key, (name, *others) in self._deposit.head_names(task).items():
            if not key.startswith(f'{module}.'):
                continue
            if others:
                raise ValueError(f'base {self.path}: {key!r} of task {task!r} is shared in part')
            found[key] = self._deposit.read(name)
        return found

    def _share_alike(self, module: ElasticBackbone) -> None:
        """Makes the scores choose what the inherited task shares, whose own ones they may not be.

        A task that was trained with scores of its own left behind which channels it shares.
        """
        ledger, parameters = module.ledger(), dict(module.named_parameters())
        for shared, *_ in self._deposit.region(self._task).weights.values():
            use, policy = shared.use, ledger.sharing[shared.use.role]
            if policy.has_scores and (ledger.shared_rows(use) != shared.chosen).any():
                scores = parameters[score_name(use.layer)].view(use.groups, use.max_channels)
                chosen = torch.from_numpy(policy.scores_for(shared.chosen))
                scores[:, : use.channels] = chosen

    def _check_stored(self, module: ElasticBackbone) -> None:
        """Raises ValueError for a shared weight that the new tasks use and the file lacks."""
        stored, spec = self._deposit.stored(), self.joint[self._task]
        used = footprint(module.ledger(), [(task, spec) for task in module.tasks])
        for (name, first), lengths in used.items():
            if not owners_of(name).are_all or not lengths.any():
                continue
            if (name, first) not in stored or (lengths > stored[name, first]).any():
                raise ValueError(
                    f'base {self.path}: {name!r} is missing, the new task needs it; give it the '
                    f'outputs of {self.inherit!r}'
                )

    @property
    def _label(self) -> str:
        return self._deposit.tasks[self._task]['region']

    @cached_property
    def _deposit(self) -> Deposit:
        return Deposit(self.path, self.trust)
