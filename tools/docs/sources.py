"""What the sources say of classes and settings, read without importing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'mdl_nas_mm'
_ENTRY = re.compile(r'`*\*{0,2}(\w+)`*((?:, `*\*{0,2}\w+`*)*): (.*)')
_NEEDED = 'needed'


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor, or a field of a dataclass.

    Attributes:
        default: as Python writes it, or that it is needed.
        text: what the docstring says of it.
    """

    name: str
    default: str
    text: str


@dataclass(frozen=True)
class Described:
    """A class.

    Attributes:
        name: its own, or that by which a config asks for it.
        registry: the one that it is registered in, or nothing.
        text: of its docstring, the first paragraph.
        arguments: of its constructor, or of that of the first base that has one.
    """

    name: str
    registry: str
    text: str
    arguments: tuple[Argument, ...]


@cache
def trees() -> dict[Path, ast.Module]:
    """Every module of the package, parsed."""
    paths = [p for p in sorted(PACKAGE.rglob('*.py')) if '.mim' not in p.parts]
    return {path: ast.parse(path.read_text(encoding='utf-8')) for path in paths}


@cache
def _nodes() -> dict[str, ast.ClassDef]:
    found = {}
    for tree in trees().values():
        found |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return found


def described(name: str) -> Described:
    """The public class of a name, or KeyError."""
    node = _nodes()[name]
    text = ast.get_docstring(node) or ''
    paragraph = ' '.join(text.split('\n\n')[0].split())
    return Described(_asked_as(node), _registry(node), paragraph, tuple(_arguments(node)))


def registered(registry: str) -> list[Described]:
    """All public classes of a registry, by name."""
    names = [name for name, node in _nodes().items() if _registry(node) == registry]
    return [described(name) for name in sorted(names) if not name.startswith('_')]


def subclasses(base: str) -> list[str]:
    """Names of the classes that are made, at any distance, of a class of the package."""
    direct = [name for name, node in _nodes().items() if base in map(_last, node.bases)]
    return sorted({*direct, *(name for each in direct for name in subclasses(each))})


def entries_of(module: str, name: str) -> dict[str, ast.expr]:
    """Key -> value of a constant that is a dict, of a module such as ``tasks/task_config.py``."""
    value = _constant(module, name)
    if isinstance(value, ast.Dict):
        return {ast.literal_eval(key): each for key, each in zip(value.keys, value.values) if key}
    assert isinstance(value, ast.Call) and _last(value.func) == 'dict', f'{module}: {name}'
    return {each.arg: each.value for each in value.keywords if each.arg}


def _constant(module: str, name: str) -> ast.expr:
    for node in trees()[PACKAGE / module].body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.value  # type: ignore[attr-defined]
    raise KeyError(f'{module} has no {name}')


def _last(node: ast.AST | None) -> str:
    """``c`` of ``a.b.c``, or nothing."""
    return getattr(node, 'attr', getattr(node, 'id', ''))


def _registry(node: ast.ClassDef) -> str:
    places = (getattr(call.func, 'value', None) for call in _registering(node))
    return _last(next(places, None))


def _asked_as(node: ast.ClassDef) -> str:
    """The name of a class in its registry."""
    keywords = [each for call in _registering(node) for each in call.keywords]
    return next((ast.literal_eval(e.value) for e in keywords if e.arg == 'name'), node.name)


def _registering(node: ast.ClassDef) -> list[ast.Call]:
    """The decorators that register it."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    return [each for each in calls if _last(each.func) == 'register_module']


def _arguments(node: ast.ClassDef) -> Iterator[Argument]:
    """Those of the constructor, or the fields of a dataclass, with what the docstring says."""
    owner = _owner(node)
    texts = {}
    for each in (owner, node):
        texts |= entries(ast.get_docstring(each) or '')
    for name, default in _signature(owner):
        yield Argument(name, default, _followed(name, texts.get(name, '')))


def _followed(name: str, text: str) -> str:
    """The text of an argument; that of another class where it only points to it."""
    target = re.fullmatch(r'see ``(\w+)``\.', text)
    if target is None or target[1] not in _nodes():
        return text
    there = entries(ast.get_docstring(_nodes()[target[1]]) or '').get(name)
    return text if there is None else _followed(name, there)


def _owner(node: ast.ClassDef) -> ast.ClassDef:
    """The class whose constructor it has, as far as that lies in the package."""
    if _init(node) is not None or _fields(node):
        return node
    # Some have the name of the upstream class that they are made of.
    names = [name for name in map(_last, node.bases) if name != node.name]
    bases = [_nodes()[name] for name in names if name in _nodes()]
    return next((found for found in map(_owner, bases) if _init(found) or _fields(found)), node)


def _init(node: ast.ClassDef) -> ast.FunctionDef | None:
    functions = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    return next((child for child in functions if child.name == '__init__'), None)


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """Fields of a dataclass."""
    decorators = [getattr(each, 'func', each) for each in node.decorator_list]
    if 'dataclass' not in map(_last, decorators):
        return []
    return [child for child in node.body if isinstance(child, ast.AnnAssign)]


def _signature(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Name and default of all that a config can say."""
    function = _init(node)
    if function is None:
        for field in _fields(node):
            yield ast.unparse(field.target), ast.unparse(field.value) if field.value else _NEEDED
        return
    args = function.args
    named = [*args.posonlyargs, *args.args][1:]
    defaults = [None] * (len(named) - len(args.defaults)) + args.defaults[-len(named) :]
    for arg, default in (*zip(named, defaults), *zip(args.kwonlyargs, args.kw_defaults)):
        yield arg.arg, _NEEDED if default is None else ast.unparse(default)


def entries(docstring: str) -> dict[str, str]:
    """Name -> text of what ``Args:`` or ``Attributes:`` describe; several may have one text."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if line and not line.startswith(' '):
            inside = line in ('Args:', 'Attributes:')
            names = []
        elif inside and re.match(r'    \S', line) and (entry := _ENTRY.match(line.strip())):
            # An argument may be kept as an attribute of another meaning, which is told after it.
            every = [entry[1], *re.findall(r'\w+', entry[2])]
            names = [name for name in every if name not in found]
            found |= dict.fromkeys(names, entry[3])
        elif inside:
            found |= {name: f'{found[name]} {line.strip()}'.rstrip() for name in names}
    return found
