"""All that is used of other libraries without their having promised it.

Names that begin with an underscore, and attributes of their objects that are replaced. A release
may change each of them; tests/utils/test_private.py says which one it was.
"""

from __future__ import annotations

import copy
import importlib
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
import torch.distributed as dist
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import _process_mmcls_checkpoint
from mmengine.visualization import Visualizer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.data import DataLoader

# --- numpy and torch

# Where numpy has what its pickles name; the first numpy 2 has moved it.
MULTIARRAY = importlib.import_module(
    'numpy._core.multiarray'
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0'
    else 'numpy.core.multiarray'
)
# The one class that all batch norms have in common, mmengine's without processes among them.
BatchNorm = _BatchNorm


def leaves(values: Any) -> list:
    """What nested tuples, lists and dicts hold. torch 2.1 has no public walk."""
    return tree_flatten(values)[0]


def map_leaves(function: Callable, values: Any) -> Any:
    """Nested tuples, lists and dicts with a function of what they hold."""
    return tree_map(function, values)


def version_of(tensor: Tensor) -> int:
    """How often a tensor was changed in place; those of inference mode do not tell."""
    return -1 if tensor.is_inference() else tensor._version


def untraceable() -> type[Exception]:
    """What ``torch.export`` raises where a model cannot be traced; it is slow to import."""
    return importlib.import_module('torch._dynamo.exc').UserError


def default_store() -> dist.Store:
    """The store that torch has made from the environment; there is no public way to reach it."""
    return dist.distributed_c10d._get_default_store()


@contextmanager
def as_world(group: dist.ProcessGroup) -> Generator[None, None, None]:
    """Means a group inside the block where no group is given; torch has no public way."""
    world = dist.group.WORLD
    dist.distributed_c10d._update_default_pg(group)
    try:
        yield
    finally:
        dist.distributed_c10d._update_default_pg(world)


def hold_beside(model: nn.Module, name: str, value: Any) -> None:
    """Gives a model a module, a parameter or something else that is not among its own.

    It is in no ``parameters()``, ``state_dict()`` or ``train()`` of the model; of one that is
    assigned torch makes a part. Where the model has a parameter of this name, it is hidden.
    """
    object.__setattr__(model, name, value)


def let_go(model: nn.Module, name: str) -> None:
    """Takes what ``hold_beside`` gave away, if it is there; a parameter of this name is left."""
    vars(model).pop(name, None)


def give_up_parameter(module: nn.Module, name: str) -> None:
    """Takes a parameter away from a module; torch has no method for it."""
    delattr(module, name)


def replace_buffer(module: nn.Module, name: str, value: Tensor) -> None:
    """Another tensor in place of a buffer; one that is not saved stays so."""
    setattr(module, name, value)


def with_child(model: nn.Module, name: str, child: nn.Module) -> nn.Module:
    """A shallow copy of a module with another child of this name; the module stays as it is."""
    found = copy.copy(model)
    found._modules = {**model._modules, name: child}
    return found


def start_workers(loader: DataLoader, start: Callable[[int], None]) -> None:
    """Sets what workers begin with. mmengine, which builds loaders, wraps what configs name."""
    loader.worker_init_fn = start


# --- mmengine

ParamScheduler = _ParamScheduler
# What a scheduler's state has for each parameter group.
SCHEDULED_BY_GROUP = ('base_values', '_last_value')


def set_last_values(scheduler: ParamScheduler) -> None:
    """Tells a scheduler the values that its optimizer has; it asks for none when it is loaded."""
    groups = scheduler.optimizer.param_groups
    scheduler._last_value = [group[scheduler.param_name] for group in groups]


class OpenRunner(Runner):
    """mmengine's runner, with names for what it keeps to itself."""

    def initialize_weights(self) -> None:
        """Initializes the model in front of a training; to be overridden.

        mmengine's own sends all weights of the first process to the others.
        """
        super()._init_model_weights()

    def _init_model_weights(self) -> None:
        self.initialize_weights()

    @property
    def resumes(self) -> bool:
        """Whether training goes on from a checkpoint."""
        return self._resume

    @property
    def load_source(self) -> str | None:
        """The checkpoint that is loaded or resumed from."""
        return self._load_from

    @load_source.setter
    def load_source(self, path: str | None) -> None:
        self._load_from = path

    @property
    def has_loaded(self) -> bool:
        """Whether a checkpoint was loaded; it is not loaded again."""
        return self._has_loaded

    @has_loaded.setter
    def has_loaded(self, value: bool) -> None:
        self._has_loaded = value


def acts_by_epoch(kind: type[Hook]) -> bool:
    """Whether a hook does something at the start or the end of epochs."""
    stages = ('before_train_epoch', 'after_train_epoch', '_before_epoch', '_after_epoch')
    return any(getattr(kind, stage) is not getattr(Hook, stage) for stage in stages)


def more_is_better(metric: str) -> Callable[[type], type]:
    """Lets a hook that looks for the best validation know a metric without a ``rule`` for it."""

    def add(kind: type) -> type:
        kind._default_greater_keys = [*kind._default_greater_keys, metric]
        return kind

    return add


def save_no_best(hook: CheckpointHook) -> None:
    """Lets a hook that is built already save no best checkpoint."""
    hook.save_best = None


def draw_into(hook: Hook, visualizer: Visualizer) -> None:
    """Gives one of upstream's visualization hooks another visualizer than the latest."""
    hook._visualizer = visualizer


def clip_with(wrapper: OptimWrapper, clip: Callable) -> None:
    """Clips gradients with another function than torch's; a config can name none."""
    wrapper.clip_func = clip


def replace_train_step(model: BaseModel, step: Callable) -> None:
    """Makes runners call ``step`` as the model's training step, which no hook can enclose."""
    model.train_step = step


def restore_train_step(model: BaseModel) -> None:
    """Gives a model its own training step back."""
    del model.train_step


def loggers() -> list[logging.Logger]:
    """mmengine's loggers, of which it tells the latest only."""
    return list(MMLogger._instance_dict.values())


def show_on(screen: logging.StreamHandler, stream: TextIO) -> None:
    """Lets a handler write elsewhere; ``setStream`` flushes what it had, which may be closed."""
    screen.stream = stream


@contextmanager
def reading_with(schemes: Sequence[str], load: Callable[..., Any]) -> Generator[None, None, None]:
    """Lets mmengine load all checkpoints with one function inside the block.

    Its table is one for the process, and public ways only add to it.

    Args:
        schemes: what names of checkpoints begin with.
        load: takes ``filename`` and ``map_location``.
    """
    before = CheckpointLoader._schemes
    CheckpointLoader._schemes = dict(before)
    try:
        CheckpointLoader.register_scheme(schemes, load, force=True)
        yield
    finally:
        CheckpointLoader._schemes = before


def from_mmcls(checkpoint: Mapping) -> Mapping:
    """A classifier's checkpoint as mmengine reads ``mmcls://``: its backbone, renamed."""
    return _process_mmcls_checkpoint(checkpoint)


class HistoryBufferOfNumbers(HistoryBuffer):
    """Stands for mmengine's where one is unpickled, and takes over numbers alone."""

    def __setstate__(self, state: dict) -> None:
        HistoryBuffer.__init__(
            self, state['_log_history'], state['_count_history'], state['max_length']
        )
        self.__class__ = HistoryBuffer


# --- the task libraries' inferencers, which are made to build their models from files


def inferencer_around(inferencer: type, model: nn.Module) -> type:
    """A class of mmdet's, mmseg's and mmpose's inferencers around a model that is built."""

    class Around(inferencer):
        def _init_model(self, *_: Any) -> nn.Module:
            return model

    return Around


def give_config(model: BaseModel, config: Mapping) -> None:
    """Gives a model the config that mmpretrain's inferencers ask a built one for."""
    model._config = config


def draw_with(inferencer: Any, visualizer: Any) -> None:
    """Gives mmpretrain's inferencer what it draws with; else it makes that when it first draws."""
    inferencer.visualizer = visualizer


def detect_with(inferencer: Any, detector: Callable | None) -> None:
    """Gives mmpose's inferencer what finds persons, as category 0; None for the whole image."""
    inferencer.detector, inferencer.det_cat_ids = detector, (0,)


# --- mmseg


class FeaturesOfHead:
    """Other features for upstream's decode head: ``class Head(FeaturesOfHead, ASPPHead)``."""

    def features_of(self, inputs: Sequence[Tensor]) -> Tensor:
        """What the classifying layer is given, of the backbone's maps."""
        raise NotImplementedError

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.features_of(inputs)


def without_mixing(preprocessor: Any) -> Any:
    """A copy of mmpretrain's data preprocessor, or of another, that mixes no images."""
    found = copy.copy(preprocessor)
    found.batch_augments = None
    return found


def decoded_maps(head: Any, features: Sequence[Tensor]) -> Any:
    """What a decode head looks at: the map of its ``in_index``, or as ``input_transform`` says."""
    return head._transform_inputs(features)
