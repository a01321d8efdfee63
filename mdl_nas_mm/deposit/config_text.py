"""The text of an extracted task's config."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.registry import DATASETS, METRICS, MODELS, SCOPE, TRANSFORMS
from mdl_nas_mm.utils.data_paths import prepared_dataset
from mdl_nas_mm.utils.one_line import printable

from .configs import first_refusal

_PACKAGES = dict(mmpretrain='mmpretrain', mmdet='mmdetection', mmseg='mmsegmentation')
# Library -> its visualizer and its hook that draws what a model answers.
_DRAWING = dict(
    mmpretrain=('UniversalVisualizer', 'VisualizationHook'),
    mmdet=('DetLocalVisualizer', 'DetVisualizationHook'),
    mmseg=('SegLocalVisualizer', 'SegVisualizationHook'),
    mmpose=('PoseLocalVisualizer', 'PoseVisualizationHook'),
)


def config_text(
    model: Mapping,
    info: Mapping,
    checkpoint: str,
    where: str,
    remarks: Iterable[str] = (),
    trust: Collection[str] = (),
    training: Mapping[str, Any] | None = None,
) -> str:
    """A config as Python, with what upstream's tools need beside the model.

    Args:
        model: the model's config.
        info: what a deposit has of the task.
        checkpoint: name of the file beside the config.
        where: what errors begin with.
        remarks: lines of the comment in front.
        trust: classes of data sets and metrics that are no known ones. Of a task that has others
            the text says what to give, and has no test.
        training: see ``mdl_nas_mm.tasks.own_training``; it validates on what it is tested on.

    Raises:
        ValueError: the text does not mean what the task's config says.
    """
    scope, content, remarks = info['scope'], dict(model=model), list(remarks)
    refusal = first_refusal(info, trust)
    if refusal is not None:
        remarks += ['', f'Nothing to test with is here: {refusal}']
    else:
        tested = [key for key in ('dataloader', 'evaluator') if f'val_{key}' in info]
        content |= {f'test_{key}': info[f'val_{key}'] for key in tested}
    if 'test_dataloader' in content:
        content['test_cfg'] = dict()
    if training is not None:
        content |= training
        tested = [key for key in ('dataloader', 'evaluator', 'cfg') if f'test_{key}' in content]
        content |= {f'val_{key}': content[f'test_{key}'] for key in tested}
    if 'val_dataloader' in info:
        # mmseg's and mmpretrain's inference look for it here.
        content['test_pipeline'] = prepared_dataset(info['val_dataloader']).get('pipeline', [])
    imports = {_module_of(name) for name in types_of(content) if '.' in name}
    imports -= {f'{scope}.models', 'mmengine.models'}
    if imports:
        content['custom_imports'] = dict(imports=sorted(imports), allow_failed_imports=False)
    if scope in _DRAWING:
        visualizer, hook = _DRAWING[scope]
        backends = [dict(type='LocalVisBackend')]
        content['visualizer'] = dict(type=visualizer, name='visualizer', vis_backends=backends)
        hooks = dict(content.get('default_hooks', {}), visualization=dict(type=hook))
        content['default_hooks'] = hooks
    content = dict(default_scope=scope, **content)
    text = f'{_comment(remarks)}\n{Config(copy.deepcopy(content)).pretty_text.rstrip()}\n'
    _check_read_back(text, content, where)
    # mmengine puts the config's own folder in.
    return f"{text}load_from = '{{{{ fileDirname }}}}/{checkpoint}'\n"


def _module_of(name: str) -> str:
    """What has to be imported for a class of another library, given with its scope."""
    library, _, kind = name.partition('.')
    if library != SCOPE:
        return f'{library}.models'
    found = None
    for registry in (MODELS, DATASETS, TRANSFORMS, METRICS):
        registry.import_from_location()
        found = found or registry.module_dict.get(kind)
    if found is None:
        raise ValueError(f'{name!r} is no model, data set, transform or metric')
    module = found.__module__
    # A folder of this package has all that it registers.
    return '.'.join(module.split('.')[:2]) if module.startswith(f'{SCOPE}.') else module


def _comment(lines: Iterable[str]) -> str:
    """Lines of a comment, of which none ends before its end nor is a template of mmengine's."""
    plain = (printable(line).replace('{{', '{ {') for line in lines)
    return ''.join(f'# {line}'.rstrip() + '\n' for line in plain)


def _check_read_back(text: str, content: Mapping, where: str) -> None:
    """Raises ValueError unless a text says what it was made of, and does nothing else."""
    found = {}
    for line in ast.parse(text).body:
        if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
            raise ValueError(f'{where}: its config has {ast.unparse(line)[:80]!r}')
        found[line.targets[0].id] = _literal(line.value, where)
    # mmengine replaces what stands in double braces before it reads a config.
    if found != _plain(content) or '{{' in text:
        raise ValueError(f'{where}: its config cannot be written as text that says the same')


def _literal(node: ast.expr, where: str) -> Any:
    """What an expression of numbers, texts and containers is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        # So mmengine writes keys that are no names, such as the numbers of mmpose's key points.
        if len(node.args) == 1 and isinstance(node.args[0], ast.Dict) and not node.keywords:
            return _literal(node.args[0], where)
        if not node.args and all(keyword.arg for keyword in node.keywords):
            return {keyword.arg: _literal(keyword.value, where) for keyword in node.keywords}
    if isinstance(node, ast.Dict) and all(node.keys):
        keys = [_literal(key, where) for key in node.keys if key is not None]
        return dict(zip(keys, (_literal(value, where) for value in node.values), strict=True))
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(item, where) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        found = ast.unparse(node)[:80]
        raise ValueError(f'{where}: its config has {found!r}, which is no plain value') from None


def _plain(value: Any) -> Any:
    """Without mmengine's kinds of dicts, and lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def types_of(config: Any) -> Iterator[str]:
    """Every class that a config names."""
    if isinstance(config, Mapping):
        if isinstance(config.get('type'), str):
            yield config['type']
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from types_of(item)


def header(
    deposit: str, task: str, scope: str, why: str, model: Mapping, is_trained: bool = False
) -> list[str]:
    """Lines of a comment: what this is, how to test and train it, and what it needs.

    Args:
        deposit: name of its file.
        task: its name in the deposit.
        scope: the library of the task.
        why: why the backbone is no stock one, if it is none.
        model: the model's config.
        is_trained: whether the config says how to train it further.
    """
    kind, package = model['backbone']['type'], _PACKAGES.get(scope, scope)
    lines = [
        f'Task {task!r} of the deposit {deposit!r}, for the tools of {scope}.',
        '',
        f'    mim test {package} {task}_config.py --checkpoint {task}.pth',
        *([f'    mim train {package} {task}_config.py'] if is_trained else []),
        '',
    ]
    if kind.startswith('mdl_nas_mm.'):
        lines += [
            f'It needs the backbone class {kind}, here with one fixed architecture.',
            f'Why no stock class: {" ".join(why.split())}.',
        ]
    else:
        lines.append(f'The backbone is the stock {kind}; nothing of mdl_nas_mm is needed.')
    return lines
