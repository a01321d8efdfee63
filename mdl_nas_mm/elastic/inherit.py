"""Starts an elastic backbone from the weights of a published model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from torch import Tensor, nn

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.owners import read_name
from mdl_nas_mm.utils.data_only import fetched
from mdl_nas_mm.utils.torch_file import read_torch_file

from .family import Family, known_families
from .key_styles import KeyStyle, find_style

# Under which keys checkpoints hold the state dict; of two, the first is taken.
_WRAPPERS = ('state_dict', 'model', 'teacher', 'module')
_SETTINGS = ('type', 'checkpoint', 'prefix', 'reorder', 'trust_checkpoint')
_SHOWN = 4


@dataclass(frozen=True)
class Heir:
    """A backbone that takes weights over.

    Attributes:
        family, shape: its own.
        largest: the largest architecture of its space.
        rank: puts the most important channels first.
    """

    module: nn.Module
    family: Family
    shape: Any
    largest: SubnetSpec
    rank: Callable[[], None]


@dataclass(frozen=True)
class InheritanceReport:
    """What became of every weight.

    Attributes:
        style: whose keys the checkpoint has.
        taken: weights of the backbone that are the checkpoint's.
        resized: those that were interpolated, for another grid or window.
        cut: those that are the first rows and columns of the checkpoint's.
        missing: those that the checkpoint does not have, which stay as initialised.
        left_out: keys of the checkpoint that are not used.
        without_place: those of ``left_out`` that belong to blocks of the backbone. Without them
            it does not compute what the checkpoint's model does.
    """

    style: str
    taken: tuple[str, ...]
    resized: tuple[str, ...]
    cut: tuple[str, ...]
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    without_place: tuple[str, ...]

    def summary(self) -> str:
        """A few lines: how many there are of each kind, and the names of the first."""
        lines = [
            f'weights inherited from a checkpoint in the keys of {self.style}:',
            _line('taken as they are', self.taken),
            _line('resized', self.resized),
            _line('cut', self.cut),
            _line('not in the checkpoint, kept as initialised', self.missing),
            _line('in the checkpoint, left out', self.left_out),
        ]
        if self.without_place:
            lines.append(_line('of these, needed for the same features', self.without_place))
        return '\n'.join(lines)


def inherit_weights(
    heir: Heir,
    state_dict: Mapping[str, Any],
    reorder: bool = False,
    prefix: str | None = None,
) -> InheritanceReport:
    """Fills a backbone's shared weights, and norms' statistics, from a checkpoint of its family.

    A backbone whose largest architecture has the sizes of the checkpoint's model then computes
    what that does. A larger model is cut to its first channels and blocks; what belongs to another
    grid of positions is interpolated. Every task's own weights become copies of the shared ones;
    the mask policy's scores stay.

    Args:
        heir: the backbone.
        state_dict: a state dict, or a checkpoint around one, in keys of its family's ``styles``
            behind any prefix (``backbone.``, ``module.``).
        reorder: whether to put the most important channels first, where smaller
            architectures find them; see ``reorder_by_importance``. Not for weights of a supernet,
            such as AutoFormer's, whose smaller architectures are trained already.
        prefix: what the keys to use start with; by default it is found.

    Raises:
        ValueError: the checkpoint is of no known style or of another family, or one of its
            weights is smaller than the backbone's. Nothing is changed then.
    """
    state = _tensors(state_dict, prefix)
    style, before = _style_of(state, heir)
    source = {style.rename(key[len(before) :]): key for key in state if key.startswith(before)}
    targets = _targets(heir.module)
    if reorder:
        # Refuses what has no order, before anything is changed.
        heir.family.reorderings(heir.largest, heir.shape)
    found: set[str] = set()
    fitted, names = {}, dict(taken=[], resized=[], cut=[], missing=[])
    for key, (target, *_) in targets.items():
        theirs = key if key in source else heir.family.published_key(key)
        if theirs not in source:
            names['missing'].append(key)
            continue
        value = style.convert(theirs, state[source[theirs]])
        groups = style.groups if theirs.endswith(style.grouped) else 1
        found.add(theirs)
        fitted[key], how = heir.family.fit(key, value, target, groups, source, heir.shape)
        names[how].append(key)
    with torch.no_grad():
        for key, value in fitted.items():
            for parameter in targets[key]:
                parameter.copy_(value)
    if reorder:
        heir.rank()
    left_out = {
        key: original
        for key, original in source.items()
        if key not in found and not key.endswith(style.computed)
    }
    outside = [key for key in state if not key.startswith(before)]
    lost = _without_place(left_out, heir.family.block_names(heir.largest, heir.shape))
    report = InheritanceReport(
        style.name,
        **{how: tuple(keys) for how, keys in names.items()},
        left_out=(*left_out.values(), *outside),
        without_place=tuple(left_out[key] for key in lost),
    )
    level = logging.WARNING if report.without_place else logging.INFO
    logger = MMLogger.get_current_instance()
    logger.log(level, report.summary())
    unlike = style.unlike(heir.module)
    if unlike:
        logger.warning(unlike)
    return report


def is_pretrained(init_cfg: Any) -> bool:
    """Whether an ``init_cfg`` asks for the weights of a checkpoint."""
    kinds = ('Pretrained', PretrainedInit)
    return isinstance(init_cfg, Mapping) and init_cfg.get('type') in kinds


def inherit_pretrained(heir: Heir, init_cfg: Mapping[str, Any]) -> InheritanceReport:
    """Does what ``init_cfg=dict(type='Pretrained', checkpoint=...)`` asks for.

    Args:
        heir: the backbone.
        init_cfg: ``checkpoint``, a path or an address that mmengine knows (``https://...``), and
            perhaps ``prefix`` and ``reorder``, see ``inherit_weights``, and ``trust_checkpoint``,
            see ``read_torch_file``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an unknown setting, or the checkpoint does not fit; or see
            ``read_torch_file``.
    """
    for key in init_cfg:
        if key not in _SETTINGS:
            raise ValueError(f'init_cfg: unknown key {key!r}, expected {_SETTINGS}')
    path = init_cfg.get('checkpoint')
    if not path:
        raise ValueError("init_cfg: 'checkpoint', a path or an address, is missing")
    checkpoint = read_torch_file(fetched(path), init_cfg.get('trust_checkpoint', False))
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f'{path}: it holds a {type(checkpoint).__name__}, not weights by name')
    reorder, prefix = init_cfg.get('reorder', False), init_cfg.get('prefix')
    try:
        return inherit_weights(heir, checkpoint, reorder, prefix)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _tensors(checkpoint: Mapping[str, Any], prefix: str | None) -> dict[str, Tensor]:
    """The state dict in a checkpoint; of it, what lies under ``prefix``, without that."""
    while inner := [c for c in map(checkpoint.get, _WRAPPERS) if isinstance(c, Mapping)]:
        checkpoint = inner[0]
    state = {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    if not prefix:
        return state
    prefix = prefix.rstrip('.') + '.'
    below = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
    if not below:
        raise ValueError(f'no weight of the checkpoint starts with {prefix!r}')
    return below


def _style_of(state: Iterable[str], heir: Heir) -> tuple[KeyStyle, str]:
    """The style of a state dict and the prefix of its keys, or ValueError."""
    ours = heir.family
    found = find_style(ours.styles, state)
    if found is not None:
        return found
    known = []
    for family in known_families().values():
        known += [style.name for style in family.styles]
        theirs = find_style(family.styles, state)
        if theirs is not None:
            raise ValueError(
                f'the checkpoint is a {family.name} (keys of {theirs[0].name}), the backbone '
                f'{type(heir.module).__name__} a {ours.name}; give weights of a {ours.name}'
            )
    raise ValueError(
        f'the checkpoint is of no known style ({", ".join(known)}); its first keys are '
        f'{[*state][:_SHOWN]}'
    )


def _targets(module: nn.Module) -> dict[str, list[Tensor]]:
    """Plain key -> the shared entry, if there is one, and every task's own.

    Entries are parameters, and the running statistics of batch norms.
    """
    targets: dict[str, list[Tensor]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        entry = read_name(name)
        if not entry.is_score:
            targets.setdefault(entry.plain, []).append(value)
    return targets


def _without_place(left_out: Iterable[str], blocks: Iterable[str]) -> list[str]:
    """Plain keys of ``left_out`` that lie in a block of the backbone."""
    prefixes = tuple(f'{name}.' for name in blocks)
    return [key for key in left_out if key.startswith(prefixes) and read_name(key).is_shared_weight]


def _line(what: str, keys: tuple[str, ...]) -> str:
    shown = [*keys[:_SHOWN], *(['...'] if len(keys) > _SHOWN else [])]
    return f'  {what}: {len(keys)}' + (f' ({", ".join(shown)})' if shown else '')
