"""The door for what a file says: which classes it may name, and what it may give them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .known import known_classes
from .lookup import SCOPES, find, full_name, scopes, short_name
from .refused import why_refused, why_refused_argument
from .values import OWN_SCOPES, OWN_TYPES, key_of_data, rule_of, word

_BACKBONE = 'is a backbone, which loads what it is told'


class Untrusted(ValueError):
    """A file names a class, or gives it a value, that is not known to be harmless."""


@dataclass(frozen=True)
class Refusal:
    """One thing of a config that is not let in.

    Attributes:
        path: where it stands, such as ``head.loss``.
        reason: what it is.
        name: module and class that would have to be trusted; empty where trust is of no use, and
            with an unknown module where no registry has the class.
    """

    path: str
    reason: str
    name: str = ''

    def __str__(self) -> str:
        text = f'{self.path}: {self.reason}' if self.path else self.reason
        if not self.name:
            return text
        module, _, _ = self.name.rpartition('.')
        asked = f'--trust {self.name}'
        if module.partition('.')[0] not in (*SCOPES, 'torch'):
            asked += f' --import {module}'
        return f'{text}; if you trust it: {asked}'


@dataclass(frozen=True)
class _Place:
    """Where in a config we are, and what holds there."""

    scope: str
    trust: frozenset[str]
    hints: tuple[str, ...]
    path: str = ''
    owner: str = ''
    owner_full: str = ''
    found: Any = None
    # Upstream's backbones are let in where one of ours takes them whole, and nowhere else.
    is_backbone: bool = False

    def at(self, key: Any) -> _Place:
        path = f'{self.path}.{key}' if self.path else str(key)
        return replace(self, path=path, is_backbone=False)

    def refusal(self, reason: str) -> Refusal:
        return Refusal(self.path, reason, self.owner_full)


def check_scope(scope: str, where: str) -> None:
    """Raises ValueError for a scope that is none."""
    if scope not in scopes():
        raise ValueError(f'{where}: scope {scope!r} is not one of {sorted(scopes())}')


def check_config(
    scope: str,
    config: Any,
    where: str,
    trust: Collection[str] = (),
    hints: Collection[str] = (),
) -> None:
    """Raises Untrusted, a ValueError, for the first thing of a config that is not let in.

    Args:
        scope: the library that names are looked up in.
        config: a part of a file that somebody else wrote.
        where: what the error begins with.
        trust, hints: see ``refusals``.
    """
    for refusal in refusals(scope, config, trust, hints):
        raise Untrusted(f'{where}, {refusal}' if refusal.path else f'{where}: {refusal}')


def refusals(
    scope: str, config: Any, trust: Collection[str] = (), hints: Collection[str] = ()
) -> Iterator[Refusal]:
    """Everything of a config that is not let in.

    Args:
        scope: the library that names are looked up in.
        config: a part of a file that somebody else wrote.
        trust: module and name of further classes. Such a class gets whatever is said.
        hints: where the file says that its own classes come from; they are named, never used.
    """
    names = (trust,) if isinstance(trust, str) else trust
    yield from _refusals(config, _Place(scope, frozenset(names), tuple(hints)))


def _refusals(value: Any, place: _Place) -> Iterator[Refusal]:
    if isinstance(value, Mapping):
        if 'type' in value:
            yield from _call(value, place)
        else:
            yield from _items(value, place, None)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _refusals(item, place.at(i))
    elif reason := word(value, place.scope):
        yield place.refusal(reason)


def _call(config: Mapping, place: _Place) -> Iterator[Refusal]:
    """A class with its arguments."""
    scope = config.get('_scope_', place.scope)
    if scope not in scopes():
        yield Refusal(place.path, f'_scope_ {scope!r} is not one of {sorted(scopes())}')
        return
    place = replace(place, scope=scope)
    name = config['type']
    found = find(name, scope)
    if isinstance(name, str) and name in place.trust:
        yield from _nested(config, place)
    elif not found:
        yield Refusal(place.path, *_unregistered(name, place))
    for each in found:
        short, full = short_name(each), full_name(each)
        inner = replace(place, owner=short, owner_full=full, found=each)
        if full in place.trust:
            yield from _nested(config, inner)
        elif short in known_classes() and (place.is_backbone or not _is_backbone(full)):
            yield from _items(config, inner, known_classes()[short])
        else:
            usual = _BACKBONE if _is_backbone(full) else 'is not known'
            yield inner.refusal(f'class {each.__qualname__} {why_refused(each) or usual}')


def _items(config: Mapping, place: _Place, known: Collection[str] | None) -> Iterator[Refusal]:
    """The values of a dict; ``known`` are the arguments of its class."""
    library = place.owner.partition('.')[0] or place.scope
    for key, item in config.items():
        if known is not None and key in ('type', '_scope_'):
            continue
        wrong = key_of_data(key)
        if wrong or str(key).startswith('_'):
            yield Refusal(place.path, wrong or f'the key {key!r} is not for a file')
            continue
        inner = place.at(key)
        if f'{place.owner}.{key}' in OWN_SCOPES and isinstance(item, Mapping):
            named = str(item.get('type')).partition('.')[0]
            inner = replace(inner, scope=named, is_backbone=True)
        rule = rule_of(place.found, key) if isinstance(key, str) else None
        refused = why_refused_argument(place.found, key) if known is not None else None
        if known is not None and (refused or key not in known):
            reason = refused or 'is not known'
            yield inner.refusal(f'this argument of class {place.owner.partition(".")[2]} {reason}')
        elif f'{place.owner}.{key}' in OWN_TYPES and isinstance(item, Mapping):
            yield from _items(item, inner, None)
        elif rule is None:
            yield from _refusals(item, inner)
        elif reason := rule(item, library):
            yield inner.refusal(reason)


def _is_backbone(full: str) -> bool:
    return '.backbones.' in full


def _nested(value: Any, place: _Place) -> Iterator[Refusal]:
    """The classes below one that is trusted, whatever else it is given."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if wrong := key_of_data(key):
                yield Refusal(place.path, wrong)
            elif isinstance(item, Mapping) and 'type' in item:
                yield from _call(item, place.at(key))
            else:
                yield from _nested(item, place.at(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            if isinstance(item, Mapping) and 'type' in item:
                yield from _call(item, place.at(i))
            else:
                yield from _nested(item, place.at(i))


def _unregistered(name: Any, place: _Place) -> tuple[str, str]:
    """What to say of a class that no registry has, and its likely name."""
    if not isinstance(name, str):
        return f'type {ascii(name)[:60]} is no name of a class', ''
    reason = f'class {ascii(name)[:60]} is not registered in {place.scope}'
    parent, _, own = name.rpartition('.')
    # What is to be typed is nothing but names.
    if not all(part.isidentifier() and part.isascii() for part in name.split('.')):
        return reason, ''
    if parent and parent not in scopes():
        # Upstream would import it.
        return reason, name
    return reason, next((hint for hint in place.hints if hint.endswith(f'.{own}')), f'MODULE.{own}')
