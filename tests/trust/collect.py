"""Adds classes of the installed libraries to the lists: python tests/trust/collect.py.

A class is listed when nothing that its source can get at evaluates, opens or fetches what a config
says, or what does is written down in ``audited.py``; and with the arguments of its signature.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

import mmcv.ops
from audited import (
    AUDITED,
    BACKBONES,
    BUILDER_KEYS,
    DATA_CALLS,
    DATA_KINDS,
    OWN_FILES,
    UNLISTED_MODULES,
)
from mmengine.registry import Registry
from reach import full_name, reach

import mdl_nas_mm
from mdl_nas_mm.trust.lookup import short_name
from mdl_nas_mm.trust.refused import why_refused, why_refused_argument

LIBRARIES = ('mmengine', 'mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'mdl_nas_mm')
KINDS = (
    *('model', 'transform', 'metric', 'task util', 'KEYPOINT_CODECS', 'data sampler', 'dataset'),
    *('weight initializer', 'evaluator', 'batch augment', 'function'),
)
OPERATORS = (
    *('nms', 'soft_nms', 'nms_rotated', 'RoIAlign', 'SimpleRoIAlign', 'RoIPool', 'DeformRoIPool'),
    *('DeformRoIPoolPack', 'ModulatedDeformRoIPoolPack'),
)
CLASSES = Path(mdl_nas_mm.__file__).parent / 'trust' / 'classes'


def registered():
    """(kind of registry, class) of all libraries."""
    registries = {}
    for library in LIBRARIES:
        for value in vars(importlib.import_module(f'{library}.registry')).values():
            if isinstance(value, Registry):
                value.import_from_location()
                registries[id(value)] = value
    for registry in registries.values():
        kind = registry.name.replace('batch augments', 'batch augment')
        for name, found in registry.module_dict.items():
            if '/' not in name and (inspect.isclass(found) or inspect.isroutine(found)):
                yield kind, found
    for name in OPERATORS:
        yield 'operator', getattr(mmcv.ops, name)


def objections(kind, found):
    """What a class can get at that is not written down as harmless."""
    short, hits = short_name(found), reach(found)
    return {
        hit: way
        for hit, way in hits.items()
        if hit not in AUDITED
        and not hit.startswith(OWN_FILES)
        and not (kind in DATA_KINDS and hit.partition(': ')[2] in DATA_CALLS)
        and f'{short}: {hit}' not in AUDITED
    }


def arguments(found):
    """Names of all arguments, of base classes too where they are passed on."""
    names = set()
    parts = inspect.getmro(found) if inspect.isclass(found) else [found]
    for part in parts:
        function = part.__dict__.get('__init__') if inspect.isclass(part) else part
        if function is None:
            continue
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            continue
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        names |= {p.name for p in named if p.name != 'self'}
        if part is parts[0] and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def candidates():
    """Library -> class -> arguments, of all that may be listed."""
    found = {}
    for kind, each in registered():
        short = short_name(each)
        library, _, name = short.partition('.')
        if (
            kind not in (*KINDS, 'operator')
            or why_refused(each)
            or short not in BACKBONES
            and any(part in full_name(each) for part in UNLISTED_MODULES)
        ):
            continue
        if '<locals>' in short or library == 'tests' or objections(kind, each):
            continue
        names = arguments(each) | set(BUILDER_KEYS.get(short, ()))
        if name.endswith('Norm') or 'Norm' in name and library in ('torch', 'mmcv'):
            names.add('requires_grad')
        if kind == 'weight initializer':
            names |= {'layer', 'name', 'override'}
        names -= {key for key in names if why_refused_argument(each, key)}
        found.setdefault(library, {}).setdefault(name, set()).update(names)
    return found


def write():
    """One line a class, so that a change can be read; what other versions have stays."""
    for library, classes in candidates().items():
        path = CLASSES / f'{library}.json'
        for name, known in json.loads(path.read_text()).items():
            classes.setdefault(name, set()).update(known)
        lines = [f' {json.dumps(n)}: {json.dumps(sorted(classes[n]))}' for n in sorted(classes)]
        path.write_text('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    sys.exit(write())
