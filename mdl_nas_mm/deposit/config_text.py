"""The text of an extracted task's config, and what its checkpoint says of the data."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from mdl_nas_mm.utils.data_paths import innermost_dataset

from .configs import check_config

_PACKAGES = dict(mmpretrain='mmpretrain', mmdet='mmdetection', mmseg='mmsegmentation')
# Library -> its visualizer and its hook that draws what a model answers.
_DRAWING = dict(
    mmpretrain=('UniversalVisualizer', 'VisualizationHook'),
    mmdet=('DetLocalVisualizer', 'DetVisualizationHook'),
    mmseg=('SegLocalVisualizer', 'SegVisualizationHook'),
    mmpose=('PoseLocalVisualizer', 'PoseVisualizationHook'),
)
# What the syntax tree of a config is made of: assignments of numbers, texts and containers.
_LITERAL = (
    *(ast.Module, ast.Assign, ast.Name, ast.Call, ast.keyword, ast.Dict, ast.List, ast.Tuple),
    *(ast.Constant, ast.UnaryOp, ast.USub, ast.expr_context),
)


def config_text(model: Mapping, info: Mapping, checkpoint: str, where: str) -> str:
    """A config as Python, with what upstream's tools need beside the model.

    Args:
        model: the model's config.
        info: what a deposit has of the task.
        checkpoint: name of the file beside the config.
        where: what errors begin with.

    Raises:
        ValueError: a class that is not registered, or more than plain values.
    """
    scope, content = info['scope'], dict(model=model)
    for key in ('dataloader', 'evaluator'):
        if f'val_{key}' in info:
            check_config(scope, info[f'val_{key}'], f'{where}, val_{key}')
            content[f'test_{key}'] = info[f'val_{key}']
    if 'test_dataloader' in content:
        content['test_cfg'] = dict()
        # mmseg's and mmpretrain's inference look for it here.
        content['test_pipeline'] = innermost_dataset(info['val_dataloader']).get('pipeline', [])
    others = {name.partition('.')[0] for name in types_of(content) if '.' in name}
    modules = dict(mdl_nas_mm='mdl_nas_mm.elastic')
    imports = [modules.get(o, f'{o}.models') for o in sorted(others - {scope, 'mmengine'})]
    if imports:
        content['custom_imports'] = dict(imports=imports, allow_failed_imports=False)
    if scope in _DRAWING:
        visualizer, hook = _DRAWING[scope]
        backends = [dict(type='LocalVisBackend')]
        content['visualizer'] = dict(type=visualizer, name='visualizer', vis_backends=backends)
        content['default_hooks'] = dict(visualization=dict(type=hook))
    text = Config(copy.deepcopy(dict(default_scope=scope, **content))).pretty_text
    _check_literal(text, where)
    # mmengine puts the config's own folder in.
    return f"{text.rstrip()}\nload_from = '{{{{ fileDirname }}}}/{checkpoint}'\n"


def _check_literal(text: str, where: str) -> None:
    """Raises ValueError for a config that would do more than say what is what when it is read."""
    for node in ast.walk(ast.parse(text)):
        value = node.value if isinstance(node, ast.Constant) else None
        name = node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else 'dict'
        # mmengine replaces what stands in double braces before it reads a config.
        if not isinstance(node, _LITERAL) or name != 'dict' or '{{' in str(value):
            found = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ValueError(f'{where}: its config has {found[:80]}, which is no plain value')


def types_of(config: Any) -> Iterator[str]:
    """Every class that a config names."""
    if isinstance(config, Mapping):
        if isinstance(config.get('type'), str):
            yield config['type']
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from types_of(item)


def dataset_meta(info: Mapping) -> dict[str, Any]:
    """Class names, colours and key points as upstream's inferencers look for them."""
    if 'val_dataloader' not in info:
        return {}
    dataset = innermost_dataset(info['val_dataloader'])
    with DATASETS.switch_scope_and_registry(info['scope']) as registry:
        kind = registry.get(dataset['type'])
        meta = _plain(kind._load_metainfo(copy.deepcopy(dataset.get('metainfo'))))
    if info.get('classes'):
        meta.setdefault('classes', info['classes'])
    return meta


def _plain(value: Any) -> Any:
    """Without arrays, which would need pickle."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def header(deposit: str, task: str, scope: str, why: str, model: Mapping) -> str:
    """Comment lines: what this is, how to test it, and what it needs.

    Args:
        deposit: name of its file.
        why: why the backbone is no stock one, if it is none.
        model: the model's config.
    """
    kind = model['backbone']['type']
    lines = [
        f'Task {task!r} of the deposit {deposit!r}, for the tools of {scope}.',
        '',
        f'    mim test {_PACKAGES.get(scope, scope)} {task}_config.py --checkpoint {task}.pth',
        '',
    ]
    if kind.startswith('mdl_nas_mm.'):
        lines += [
            f'It needs the backbone class {kind}, here with one fixed architecture.',
            f'Why no stock class: {" ".join(why.split())}.',
        ]
    else:
        lines.append(f'The backbone is the stock {kind}; nothing of mdl_nas_mm is needed.')
    return ''.join(f'# {line}'.rstrip() + '\n' for line in lines) + '\n'
