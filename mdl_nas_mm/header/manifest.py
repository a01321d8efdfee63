"""The JSON part of a deposit: written, read, and checked before anything is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import xxhash

from mdl_nas_mm.spec import Dimensions
from mdl_nas_mm.spec.spec import MAX_BLOCKS, MAX_SIZE
from mdl_nas_mm.utils.jsonable import from_json, to_json
from mdl_nas_mm.utils.one_line import WRONG_VALUES, first_line, printable
from mdl_nas_mm.utils.strict_json import strict_json
from mdl_nas_mm.utils.tensor_header import MAX_VALUES

from .names import are_owners, is_head, is_set_of_tasks, owners_in
from .numbers import check_images, check_numbers

FORMAT = 'mdl_nas_mm deposit'
VERSION = '7'
# Of files that are read as well, see ``_converted``.
OLDER_VERSIONS = ('2', '3', '4', '5', '6')
MAX_TASKS = 1000
MAX_NAME = 200
_KEYS = {'backbone', 'tasks', 'history', 'counts', 'hashes', 'provenance'}
_CONTROL = 'control'
_LABEL = re.compile(r'(?!\d)\w+(\.\d+)?')
# Config of a backbone -> the dimensions of its architectures.
DimensionsOf = Callable[[Mapping], Dimensions]


def encode(manifest: Mapping) -> dict[str, str]:
    """The manifest as the string metadata of a safetensors file."""
    text = json.dumps(to_json(manifest), allow_nan=False)
    return {
        'format': FORMAT,
        'version': VERSION,
        'manifest': text,
        'manifest_hash': text_hash(text),
    }


def text_hash(text: str) -> str:
    """Hex XXH3-128 of a text in UTF-8."""
    return xxhash.xxh3_128(text.encode('utf-8', 'surrogatepass')).hexdigest()


def decode(metadata: Mapping[str, str], path: str, dimensions_of: DimensionsOf | None) -> dict:
    """Reads what ``encode`` wrote, and checks its form.

    Args:
        metadata: of the file.
        path: what errors call the file.
        dimensions_of: None where architectures are not looked into, as nothing is made of them.

    Raises:
        ValueError: the file is no deposit, of another version, or its manifest was altered or is
            malformed (names what).
    """
    if metadata.get('format') != FORMAT:
        raise ValueError(f'{path} is no deposit')
    version = metadata.get('version')
    if version not in (*OLDER_VERSIONS, VERSION):
        found, known = printable(str(version)), ', '.join((*OLDER_VERSIONS, VERSION))
        raise ValueError(f'deposit {path} has version {found}, this reads {known}')
    text = metadata.get('manifest', '')
    if text_hash(text) != metadata.get('manifest_hash'):
        raise ValueError(f"deposit {path} was altered: 'manifest' does not match its checksum")
    with malformed(f'deposit {path}: manifest'):
        manifest = from_json(strict_json(text, MAX_VALUES))
        if version in OLDER_VERSIONS:
            manifest = _converted(manifest, version)
        check_manifest(manifest, dimensions_of)
    return manifest


def _converted(manifest: dict, version: str) -> dict:
    """The manifest of an older version as today's: ``base_segments`` had another name."""
    history = []
    for i, batch in enumerate(manifest['history']):
        if 'beneath' not in batch:
            raise ValueError(f"history, {i}: version {version} says 'beneath' here")
        others = {key: value for key, value in batch.items() if key != 'beneath'}
        history.append(dict(others, base_segments=batch['beneath']))
    return dict(manifest, history=history)


@contextmanager
def malformed(where: str) -> Generator[None]:
    """Turns whatever a wrong kind of value causes into a ValueError that begins with ``where``."""
    try:
        yield
    except ValueError as error:
        message = printable(str(error))
        raise ValueError(message if message.startswith(where) else f'{where}: {message}') from None
    except WRONG_VALUES as error:
        reason = printable(f'{type(error).__name__}: {first_line(error)}')
        raise ValueError(f'{where} is malformed ({reason})') from None


def check_manifest(manifest: dict, dimensions_of: DimensionsOf | None) -> None:
    """Raises ValueError unless everything has the kind of value that it should have.

    Args:
        manifest: as read.
        dimensions_of: see ``decode``.
    """
    if not isinstance(manifest, dict) or set(manifest) - {_CONTROL} != _KEYS:
        raise ValueError(f'expected the keys {sorted(_KEYS)}')
    hashes, tasks, history = manifest['hashes'], manifest['tasks'], manifest['history']
    _expect(hashes, dict, 'hashes')
    _expect(tasks, dict, 'tasks')
    _expect(history, list, 'history')
    _expect(manifest['provenance'], dict, 'provenance')
    _expect(manifest['backbone'], dict, 'backbone')
    _expect(manifest.get(_CONTROL, {}), dict, _CONTROL)
    for name in ('tasks', 'history'):
        if len(manifest[name]) > MAX_TASKS:
            raise ValueError(f'{name}: more than {MAX_TASKS}')
    for name, value in hashes.items():
        _expect(value, str, f'hashes, {ascii(name)}')
    _check_settings(manifest['backbone'], 'backbone')
    dimensions = None if dimensions_of is None else dimensions_of(manifest['backbone'])
    labels = set()
    for i, batch in enumerate(history):
        _expect_keys(batch, {'regions', 'base_segments'}, f'history, {i}')
        _expect(batch['regions'], dict, f'history, {i}, regions')
        _expect(batch['base_segments'], list, f'history, {i}, base_segments')
        if not batch['regions']:
            raise ValueError(f'history, {i}: no regions')
        for segment in batch['base_segments']:
            _expect(segment, str, f'history, {i}, base_segments')
        for label, region in batch['regions'].items():
            where = f'region {label!r}'
            if not _LABEL.fullmatch(label) or label in labels:
                raise ValueError(f'{where}: this name is not valid or stands twice')
            labels.add(label)
            _expect_keys(region, {'spec', 'settings'}, where)
            _expect(region['settings'], dict, f'{where}, settings')
            _check_settings(region['settings'], f'{where}, settings')
            _check_spec(region['spec'], dimensions, where)
    for task, info in tasks.items():
        where = f'task {task!r}'
        if not task.isidentifier() or len(task) > MAX_NAME:
            raise ValueError(f'{where}: a name is letters, digits and underscores')
        _check_task(info, where)
        if not any(info['region'] in batch['regions'] for batch in history):
            raise ValueError(f'{where}: there is no region {info["region"]!r}')
        regions = next(b['regions'] for b in history if info['region'] in b['regions'])
        if info['spec'] != regions[info['region']]['spec']:
            raise ValueError(f"{where}: its 'spec' is not that of its region")
    owners = {owners_in(name) for name in hashes if is_head(name)}
    known = {each.label for each in owners if each.named <= set(tasks)}
    _check_counts(manifest['counts'], set(tasks), known)


def _check_task(info: Any, where: str) -> None:
    """Raises ValueError for a value of a task that is of a wrong kind, or no name to be shown."""
    _expect(info, dict, where)
    for key, kind in dict(spec=dict, region=str, scope=str, model=dict).items():
        _expect(info.get(key), kind, f'{where}, {key}')
    kinds = dict(val_dataloader=dict, val_evaluator=(dict, list, tuple), provenance=dict)
    for key, kind in kinds.items():
        if info.get(key) is not None:
            _expect(info[key], kind, f'{where}, {key}')
    if 'stored' in info:
        _expect(info['stored'], dict, f'{where}, stored')
    classes = info.get('classes')
    if classes is not None:
        _expect(classes, list, f'{where}, classes')
    score = info.get('score', '-')
    if isinstance(score, dict):
        _check_score(score, where)
        score = score['metric']
    names = [('scope', info['scope']), ('region', info['region']), ('score', score)]
    for key, name in names + [('classes', name) for name in classes or ()]:
        if not isinstance(name, str) or not name.isprintable() or len(name) > MAX_NAME:
            raise ValueError(f'{where}, {key}: {ascii(name)[:80]} is no name')
    score = info.get('scored', 0.0)
    if type(score) not in (int, float) or not math.isfinite(score):
        raise ValueError(f'{where}, scored: {ascii(score)[:80]} is no score')
    check_numbers(info['model'], f'{where}, model')
    for key in ('model', 'val_dataloader'):
        check_images(info.get(key), f'{where}, {key}')


def _check_score(score: Mapping, where: str) -> None:
    """Raises ValueError for a score that is not made of names and numbers; it is read elsewhere."""
    for key, value in score.items():
        is_number = type(value) in (int, float) and math.isfinite(value)
        is_name = isinstance(value, str) and value.isprintable() and len(value) <= MAX_NAME
        if key not in ('metric', 'scale', 'rule') or not (is_number or is_name):
            raise ValueError(f'{where}, score: {ascii(key)[:80]}={ascii(value)[:80]} is none')
    _expect(score.get('metric'), str, f'{where}, score, metric')


def _check_settings(value: Any, where: str) -> None:
    """Raises ValueError for a number that is not finite or that no backbone has."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_settings(item, f'{where}, {str(key)[:MAX_NAME]}')
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_settings(item, where)
    elif isinstance(value, (int, float)):
        if not math.isfinite(value) or not -MAX_BLOCKS <= value <= MAX_SIZE:
            raise ValueError(f'{where}: {value} is no size')


def _check_spec(spec: Any, dimensions: Dimensions | None, where: str) -> None:
    """Raises ValueError unless this is ``SubnetSpec.to_dict``'s form with possible sizes."""
    _expect_keys(spec, {'stages'}, where)
    if dimensions is None:
        return
    try:
        read = dimensions.read(spec)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    if read.to_dict() != spec:
        raise ValueError(f'{where}: its architecture is not written out, as {read}')


def _check_counts(counts: Any, tasks: set[str], owners: set[str]) -> None:
    _expect_keys(counts, {'shared', 'specific', 'heads', 'backbones'}, 'counts')
    for key in ('specific', 'heads'):
        _expect(counts[key], dict, f'counts, {key}')
    own = {label: n for label, n in counts['specific'].items() if not is_set_of_tasks(label)}
    _expect_keys(own, tasks, 'counts, specific')
    _expect_keys(counts['backbones'], tasks, 'counts, backbones')
    for label in {*tasks, *counts['heads'], *owners}:
        if label not in counts['heads'] or not are_owners(label, tasks):
            raise ValueError(f'counts, heads: {ascii(label)[:MAX_NAME]} is missing, or no tasks')
    values = [counts['shared']]
    for key in ('specific', 'heads', 'backbones'):
        values += counts[key].values()
    for value in values:
        if type(value) is not int or not 0 <= value < 2**48:
            raise ValueError(f'counts: {value} is no number of elements')


def _expect(value: Any, kind: type | tuple[type, ...], where: str) -> None:
    if not isinstance(value, kind):
        name = getattr(kind, '__name__', 'dict or list')
        raise ValueError(f'{where}: expected {name}, not {type(value).__name__}')


def _expect_keys(value: Any, keys: set[str], where: str) -> None:
    _expect(value, dict, where)
    if set(value) != keys:
        raise ValueError(f'{where}: expected the keys {sorted(keys)}, not {sorted(value)}')
