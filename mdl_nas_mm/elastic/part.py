"""The root of every elastic module: a backbone, or a part of an upstream model beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.model import BaseModule

from mdl_nas_mm.sharing import Sharing, TaskParameters
from mdl_nas_mm.spec import Layout, Ledger, Owners, PartSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import scores_in
from mdl_nas_mm.trust.values import Rule, nothing, plain

from .active import Active
from .arch_source import read_arch
from .family import PartFamily
from .head_times import TimedLayer


class ElasticPart(BaseModule):
    """What all elastic modules have in common.

    A subclass names its ``family``, sets ``layout`` in its constructor, and defines
    ``settings_of``. Its forward asks ``chosen(active())`` once what it shall be, and hands that on
    as plain arguments. It takes the family's ``derived_settings``, and ``layout.uses`` names all
    of its parameters, so that a subnet can be taken out of it. A neck or a head of upstream's
    becomes elastic as ``class ElasticHead(ElasticPart, UpstreamHead)``, with the arguments of both.

    Args:
        space: the search space's name or config; see ``PartFamily.space``. None for a module of
            just ``arch``, without weights that it does not use.
        sharing: a kind of sharing by its name or config, or one for each kind of layers, as
            ``dict(norm='AllSpecific', attn='Mask')``; None shares everything.
        tasks: names of the tasks that own specific weights.
        arch: architecture outside of ``activate``: a dict as ``Dimensions.read`` reads it, or the
            path of a JSON file or of a deposit; see ``read_arch``. Without it the largest
            of the space.
        task: whose specific weights to use outside of ``activate``, and whose architecture,
            where ``arch`` has one a task.
        init_cfg: see ``mmengine.model.BaseModule``; ``Pretrained`` fills weights of published
            models, see ``inherit_pretrained``.
        part: its name in architectures, such as ``seg.decode_head``, where it is beside the
            backbone and ``arch`` is of a whole model.
        settings: arguments that the choices of a space may follow from, see ``PartFamily.space``;
            by default ``others``.
        others: further arguments of the class that is made elastic.

    Attributes:
        is_fixed: whether ``arch`` was given.
        file_rules: what a stranger's file may give its arguments; see ``trust.values.rule_of``.
        inputs_of: of a part that a backbone's maps go into: architecture of the backbone -> the
            channels in use of each.

    Raises:
        ValueError: the space, the sharing, the task or the architecture is not valid.
        FileNotFoundError: ``arch`` is a path of nothing.
    """

    family: ClassVar[PartFamily]
    layout: Layout
    # ``arch`` may be the path of a file.
    file_rules: ClassVar[Mapping[str, Rule | str]] = dict(space=plain, sharing=plain, arch=nothing)

    def __init__(
        self,
        space: str | Mapping | Sequence[Mapping] | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | os.PathLike | None = None,
        task: str | None = None,
        init_cfg: Mapping | None = None,
        part: str | None = None,
        settings: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **others)
        self.is_fixed, self.part = arch is not None, part
        self.inputs_of: Callable[[SubnetSpec], tuple[int, ...]] | None = None
        dimensions = self.family.dimensions
        given = None if arch is None else read_arch(arch, dimensions, task, part)
        if space is None and given is None:
            raise ValueError(f'{type(self).__name__} needs a space, an arch, or both')
        if space is None:
            space = SearchSpace.fixed(given, dimensions).to_config()
        self.space = self.family.space(space, others if settings is None else settings)
        self.sharing = Sharing.from_config(sharing, dimensions.roles)
        self.tasks = tuple(tasks)
        repeated = [name for name in self.tasks if self.tasks.count(name) > 1]
        if repeated:
            raise ValueError(f'two tasks are named {repeated[0]!r}')
        # Where no task owns weights, its name may still choose the architecture.
        if task is not None and task not in self.tasks and (self.tasks or not self.is_fixed):
            raise ValueError(f'task {task!r} is not one of {self.tasks}')
        self.task = task
        self.arch = given or self.space.largest()
        self.space.check(self.arch)

    @property
    def shape(self) -> Any:
        """What is fixed in all architectures, of the family's own class."""
        return self.layout.shape

    def chosen(self, found: Active | None) -> Active:
        """The task and architecture of this module: of what is ``active()``, or its ``arch``."""
        if found is None:
            return Active(self.task, self.arch)
        spec = found.spec.root if self.part is None else self.placed(found.spec)
        return Active(found.task, spec)

    def put_beside(
        self, name: str, inputs_of: Callable[[SubnetSpec], tuple[int, ...]] | None = None
    ) -> None:
        """Tells it its place beside the backbone of a model.

        Args:
            name: see ``part``.
            inputs_of: see the attribute.
        """
        self.part, self.inputs_of = name, inputs_of

    def placed(self, spec: SubnetSpec) -> SubnetSpec:
        """Its part of an architecture of a whole model; of a backbone's maps what is in use."""
        assert self.part is not None
        own = spec.part(self.part)
        if self.inputs_of is None:
            return own
        return PartSpec(own.stages, inputs=self.inputs_of(spec.root))

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a module of this class that gives what one task's subnet gives here."""
        raise NotImplementedError

    def flops_on(self, inputs: Any) -> Callable[[SubnetSpec], int] | None:
        """Architecture, as ``placed`` gives it, -> multiply-adds on inputs of one size.

        None where it is not known in closed form; then it is run for each, without memory.

        Args:
            inputs: on the meta device, as for ``forward``.
        """
        return None

    def timed_layers(self, spec: SubnetSpec) -> Sequence[TimedLayer] | None:
        """The layers that take the time of an architecture, as ``placed`` gives it, as they run.

        None where that is not known; then no latency table knows this part.
        """
        return None

    def scores(self) -> dict[str, np.ndarray]:
        """State-dict prefix -> mask scores (groups * max_channels,) of the layers that have any."""
        return {
            layer: score.detach().float().cpu().numpy()
            for layer, score in scores_in(dict(self.named_parameters())).items()
        }

    def owner_sets(self) -> dict[str, tuple[Owners, ...]]:
        """State-dict prefix -> sets of tasks, of the layers that these own together."""
        return {
            name: layer.owner_sets
            for name, layer in self.named_modules()
            if isinstance(layer, TaskParameters) and layer.owner_sets
        }

    def ledger(self, heads: Mapping[str, int] | None = None) -> Ledger:
        """The ledger of this module with its present scores."""
        return Ledger(self.layout, self.sharing, self.scores(), heads, self.owner_sets())
