"""All tasks' upstream models around one backbone."""

from __future__ import annotations

import copy
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import BaseModel, ModuleDict
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone, ElasticPart, activate
from mdl_nas_mm.elastic.plain import fill_plain, plain_part, share_parameters, without_memory
from mdl_nas_mm.elastic.supernet import Member, Supernet
from mdl_nas_mm.registry import MODELS, WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import Owners, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import ALL, BACKBONE, StateEntry, owners_of, read_name, task_entry
from mdl_nas_mm.utils.private import hold_beside, with_child
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .elastic_parts import part_name, part_spaces, plain_model, takes_maps
from .failures import in_task
from .held_parts import HeldPart, put_submodule
from .scope import task_scope
from .shared_parts import SharedPart


@MODELS.register_module()
class BackboneSlot(nn.Module):
    """Stands where the backbone goes while an upstream model is built."""


@MODELS.register_module()
class MultiTaskModel(BaseModel):
    """One backbone and, for each task, the upstream model without its backbone.

    The backbone is in the state dict once, under ``backbone``; necks and heads lie under
    ``tasks.<task>``, and what some tasks share of them once under ``parts.<task>+<task>``. In
    training each upstream model reaches the backbone as its own ``backbone`` attribute, and runs
    it as whatever ``activate`` says; ``subnet`` is for evaluation.

    Args:
        backbone: config of an elastic backbone.
        tasks: task -> ``dict(scope=..., model=...)``, an upstream model's config. Each is
            initialised from a seed of its own, so that its weights do not depend on which others
            there are.
        parts: name -> ``dict(module=..., tasks=...)``, what tasks share beside the backbone; see
            ``read_parts``. The weights begin as those of the first of the tasks.
        elsewhere: the tasks of other processes with which tasks of this one share a part, and
            those with elastic parts. Of their parts it is known what they are, but no weight.
        groups: task -> the process group of its ranks, for more than one process.
        batch_group: the process group of the ranks that train on parts of the same batch.
        own_group: that of this process alone.
        trained: which weights of the backbone are, see ``resolve_base``; the others are frozen.
        init_cfg: see ``mmengine.model.BaseModel``.

    Attributes:
        supernet: the backbone, and the elastic necks and heads that tasks have.
        spaces: task -> its architectures.
    """

    file_refusal = 'is no part of a task'

    def __init__(
        self,
        backbone: Mapping,
        tasks: Mapping[str, Mapping],
        parts: Mapping[str, Mapping] | None = None,
        elsewhere: Mapping[str, Mapping] | None = None,
        groups: Mapping[str, dist.ProcessGroup | None] | None = None,
        batch_group: dist.ProcessGroup | None = None,
        own_group: dist.ProcessGroup | None = None,
        trained: str = 'all',
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.groups = dict(groups or dict.fromkeys(tasks))
        self.batch_group, self.own_group = batch_group, own_group
        self._apart: Collection[str] = ()
        self.scopes = {name: task['scope'] for name, task in tasks.items()}
        self._backbone_config = dict(backbone)
        with self._seeded('backbone'), task_scope('mdl_nas_mm'):
            self.backbone: ElasticBackbone = MODELS.build(dict(backbone))
        self.tasks = ModuleDict()
        for name, task in tasks.items():
            with self._seeded(name), self.scope(name), in_task(name, 'model'):
                self.tasks[name] = build_task_model(task, self.backbone)
        self.parts = ModuleDict()
        self.held_parts: list[HeldPart] = []
        with without_memory():
            others = {
                name: build_task_model(task, nn.Identity())
                for name, task in (elsewhere or {}).items()
            }
        self._share_parts([SharedPart(name, **p) for name, p in (parts or {}).items()], others)
        self._task_configs = {name: dict(task) for name, task in tasks.items()}
        configs = {**tasks, **(elsewhere or {})}
        self.supernet = Supernet(self.backbone, self._members(others, configs))
        found = part_spaces(dict(backbone=backbone, tasks=tasks))
        self.spaces: dict[str, SearchSpace] = {
            task: self.backbone.space.with_parts(spaces) for task, spaces in found.items()
        }
        self._frozen: set[str] = set()
        for name, parameter in self.backbone.named_parameters():
            if not _is_trained(read_name(name), trained):
                parameter.requires_grad = False
                self._frozen.add(name)

    def _members(
        self, others: Mapping[str, nn.Module], configs: Mapping[str, Mapping]
    ) -> dict[str, Member]:
        """The elastic parts of upstream models."""
        found = {}
        for task, model in (*self.tasks.items(), *others.items()):
            for module, part in model.named_children():
                if isinstance(part, ElasticPart):
                    is_fed = takes_maps(configs[task]['model'], module)
                    member = Member(
                        task_entry(task, module), part, (task,), is_fed, task in self.tasks
                    )
                    found[part_name(task, module)] = member
        return found

    def _share_parts(self, parts: Sequence[SharedPart], others: Mapping[str, nn.Module]) -> None:
        """Makes tasks use the same weights of what is shared."""
        models = {**dict(self.tasks.items()), **others}
        for part in parts:
            first = next(task for task in part.tasks if task in self.tasks)
            label = part.owners.label
            with self._seeded(f'{label} {part.module}'):
                held = HeldPart(part, models, first)
            if label not in self.parts:
                self.parts[label] = nn.Module()
            put_submodule(self.parts[label], part.module, held.held)
            self.held_parts.append(held)
        self.use_parts()

    def use_parts(self) -> None:
        """Gives tasks the shared weights anew, after modules of theirs were replaced."""
        for each in self.held_parts:
            held = self.parts[each.label].get_submodule(each.part.module)
            each.use(held, dict(self.tasks.items()))

    def __deepcopy__(self, memo: dict) -> MultiTaskModel:
        """A copy (EMA) has weights of its own, but the same process groups."""
        groups = (*self.groups.values(), self.batch_group, self.own_group)
        memo.update((id(group), group) for group in groups)
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__dict__, memo))
        return copied

    @staticmethod
    def _seeded(name: str) -> AbstractContextManager:
        return seeded(derive_seed(torch.initial_seed(), name))

    def scope(self, task: str) -> AbstractContextManager:
        """The scope that a task's model is built and run in."""
        return task_scope(self.scopes[task], self.groups[task])

    def training_scope(self, task: str) -> AbstractContextManager:
        """The scope of a training pass, among the ranks that have parts of its batch.

        Upstream's detectors divide losses by means over the ranks. Ranks with other batches are
        no part of that: they may have more or fewer of them, and would wait for each other, and
        results would depend on how many batches a rank has.
        """
        group = self.own_group if task in self._apart else self.batch_group
        return task_scope(self.scopes[task], group)

    @contextmanager
    def apart(self, tasks: Collection[str]) -> Generator[None]:
        """Inside the block, training passes of these tasks meet no other rank.

        Another part of their batch has no image with their label, so no such pass.
        """
        self._apart = tasks
        try:
            yield
        finally:
            self._apart = ()

    def leave_groups(self) -> None:
        """From now on its passes meet no other rank; for a copy that is tried out."""
        self.groups, self.batch_group = dict.fromkeys(self.groups, self.own_group), self.own_group
        for module in self.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.process_group = self.own_group

    def init_weights(self) -> None:
        """Initialises as upstream does, each part from a seed of its own."""
        with self._seeded('init backbone'):
            self.backbone.init_weights()
        # What tasks share is left as the first of them has it.
        for name, model in reversed(self.tasks.items()):
            with self._seeded(f'init {name}'), self.scope(name):
                model.init_weights()
        for each in self.held_parts:
            each.begin_as(next(self.tasks[t] for t in each.part.tasks if t in self.tasks))
            if each.part.of is not None:
                base = WEIGHT_INITIALIZERS.build(self._backbone_config['init_cfg'])
                each.take_over(base.entries(each.part.of, each.part.module))

    def preprocess(self, task: str, data: dict) -> dict:
        """A batch of one task as its model takes it in training."""
        with self.training_scope(task):
            return self.tasks[task].data_preprocessor(data, True)

    def features(self, task: str, spec: SubnetSpec, images: Tensor) -> tuple[Tensor, ...]:
        """What one subnet of the backbone gives of preprocessed images (B, C, H, W)."""
        with activate(task, spec):
            return self.backbone(images)

    def loss(self, task: str, spec: SubnetSpec, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one subnet on a preprocessed batch, and its parts by name."""
        model = self.tasks[task]
        with self.training_scope(task), activate(task, spec):
            return model.parse_losses(model(**data, mode='loss'))

    def subnet(self, task: str, spec: SubnetSpec) -> nn.Module:
        """A task's upstream model around a plain backbone, to evaluate one architecture with.

        The backbone is a copy of the subnet as it is now, in eval mode, whose weights are put
        together here, once for all calls; so is every elastic part. Else neck and head are the
        joint model's own modules, in the mode that they are in. Methods that were replaced on the
        joint model's own instance, and hooks on its backbone, are not part of the copy.

        Raises:
            ValueError: see ``plain_part``.
        """
        with task_scope('mdl_nas_mm'):
            plain = plain_part(self.backbone, self._backbone_config, task, spec.root)
        return self._around(plain, task, spec)

    def subnets(self, specs: Mapping[str, SubnetSpec]) -> dict[str, nn.Module]:
        """As ``subnet``, of tasks that share a pass: around one plain backbone.

        Tasks that take different features have one each, with the weights in memory once.

        Args:
            specs: task -> its architecture; those of the backbone are the same, or parts of one.
        """
        known: dict[str, nn.Parameter] = {}
        plains: list[tuple[tuple, nn.Module]] = []
        found: dict[str, nn.Module] = {}
        for task, spec in specs.items():
            key = self.backbone.pass_key(task, spec.root)
            plain = next((backbone for other, backbone in plains if other == key), None)
            if plain is None:
                model: Any = self.subnet(task, spec)
                share_parameters(model.backbone, known)
                plains.append((key, model.backbone))
                found[task] = model
            else:
                found[task] = self._around(plain, task, spec)
        return found

    def _around(self, backbone: nn.Module, task: str, spec: SubnetSpec) -> nn.Module:
        """A task's upstream model, with its elastic parts as plain ones, around a backbone."""
        model = copy.copy(self.tasks[task])
        if spec.parts:
            with without_memory():
                built = build_task_model(self.plain_task(task, spec), nn.Identity())
            for name, _ in spec.parts:
                module = name.removeprefix(f'{task}.')
                found = getattr(built, module)
                own = self.supernet.parts[name].placed(spec)
                fill_plain(found, getattr(model, module), task, own)
                model = with_child(model, module, found)
        hold_beside(model, 'backbone', backbone)
        return model

    def plain_task(self, task: str, spec: SubnetSpec) -> dict[str, Any]:
        """The config of a task whose elastic parts have just one architecture."""
        config = self._task_configs[task]
        model = plain_model(config['model'], task, self.supernet.parts, spec)
        return dict(config, model=model)

    def parameters_by_owners(self) -> dict[Owners, list[nn.Parameter]]:
        """Owners -> what they own: first of all tasks, then of some, then of each.

        The order is the same in all processes, which have but their own tasks' parameters.
        """
        found: dict[Owners, list[nn.Parameter]] = {ALL: []}
        for name, parameter in self.named_parameters():
            found.setdefault(owners_of(name), []).append(parameter)
        of_one = {Owners.of(task): place for place, task in enumerate(self.tasks)}

        def order(owners: Owners) -> tuple:
            several = owners not in of_one
            return not owners.are_all, not several, owners.label if several else of_one[owners]

        return {owners: found[owners] for owners in sorted(found, key=order)}

    def frozen(self) -> dict[str, Tensor]:
        """Name -> weight, of those of the backbone that new tasks leave to their base.

        What a backbone does not train itself, as by ``frozen_stages``, is none of them.
        """
        named = self.backbone.named_parameters()
        return {f'{BACKBONE}.{name}': p.detach() for name, p in named if name in self._frozen}

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Where a parameter lies; necks and heads are the last layer.

        mmpretrain's ``LearningRateDecayOptimWrapperConstructor`` asks for it.
        """
        return self.backbone.get_layer_depth(param_name, f'{BACKBONE}.')

    def head_sizes(self) -> dict[str, int]:
        """Owners, a task or ``a+b``, -> elements outside the backbone that are not elastic."""
        sizes: dict[str, int] = {}
        for label, model in (*self.tasks.items(), *self.parts.items()):
            size = sum(parameter.numel() for parameter in model.parameters())
            sizes[label] = sizes.get(label, 0) + size
        for member in self.supernet.members.values():
            if member.is_here:
                elastic = sum(parameter.numel() for _, parameter in member.part.named_parameters())
                sizes[member.owners.label] -= elastic
        for each in self.held_parts:
            for rows in each.rows.values():
                shared, own = rows.sizes()
                sizes[each.label] -= own + sum(p.numel() for p in rows.learned.values())
                for task in each.part.owners.among(self.tasks):
                    sizes[task] -= shared
        return sizes

    @property
    def has_scores(self) -> bool:
        """Whether any layer, of whatever, owns a score a channel."""
        rows = (rows for each in self.held_parts for rows in each.rows.values())
        return self.supernet.sharing.has_scores or any(r.policy.has_scores for r in rows)

    def used_channels(self) -> dict[Tensor, Tensor]:
        """Parameter -> mask of what is in use of it, of layers that tasks share in part.

        Which output channels these share, and which each has of its own, is the same in every pass.
        """
        masks: dict[Tensor, Tensor] = {}
        for each in self.held_parts:
            for path, rows in each.rows.items():
                shared = rows.shared()
                for name in rows.names:
                    masks[getattr(rows.held, name)] = rows.mask(name, shared)
                    for task in each.part.owners.among(self.tasks):
                        layer = self.tasks[task].get_submodule(each.path_of(path))
                        masks[getattr(layer, name)] = rows.mask(name, ~shared)
        return masks

    def forward(self, *args, **kwargs):
        """A joint model has no forward of its own."""
        raise NotImplementedError('call loss or subnet with the name of a task')


def _is_trained(entry: StateEntry, trained: str) -> bool:
    """Whether a parameter of the backbone is; see ``resolve_base``."""
    if entry.owners.are_all or entry.owners.are_several:
        return trained == 'all' or (trained == 'scores' and entry.is_score)
    return trained != 'head'


def build_task_model(task: Mapping, backbone: nn.Module) -> BaseModel:
    """An upstream model around a backbone that it does not own.

    The backbone is set past ``nn.Module``'s bookkeeping, so that it is neither in the task
    model's state dict nor initialised, moved or switched by it.

    Args:
        task: ``dict(scope=..., model=...)``.
        backbone: which it calls, without owning it.
    """
    with task_scope(task['scope']):
        # Detectors write into the configs of their heads.
        model = ROOT_MODELS.build(copy.deepcopy(task['model']))
    if not isinstance(model.backbone, BackboneSlot):
        raise ValueError(f"model {type(model).__name__} replaced its 'backbone'; it cannot be used")
    del model.backbone
    copies = [name for name, module in model.named_modules() if isinstance(module, BackboneSlot)]
    if copies:
        raise ValueError(
            f'model {type(model).__name__} has a copy of its backbone, {copies[0]!r}, which would '
            'not be the elastic one; it cannot be used'
        )
    hold_beside(model, 'backbone', backbone)
    return model
