"""Tables of the reference, made of what the sources say."""

from __future__ import annotations

import ast
import re

from sources import Argument, Described, described, entries_of, registered, subclasses

# Made by the package itself, never said in a config.
_MADE = {'runner', 'dataloader', 'evaluator', 'spaces', 'tasks'}


def keys_table(module: str, name: str) -> str:
    """What the keys of a dict of settings mean, by the constant that they are checked with."""
    texts = {key: ast.literal_eval(text) for key, text in entries_of(module, name).items()}
    rows = [f'| `{key}` | {_cell(text)} |' for key, text in texts.items()]
    return '\n'.join(['| key | |', '|---|---|', *rows])


def class_table(name: str) -> str:
    """The arguments of a class, or the fields of a dataclass."""
    return _arguments(tuple(a for a in described(name).arguments if a.name not in _MADE))


def classes_table(registry: str) -> str:
    """Every class of a registry, with its arguments, but backbones, which have a table."""
    backbones = subclasses('ElasticBackbone')
    return '\n\n'.join(_section(e) for e in registered(registry) if e.name not in backbones)


def backbones_table(_: str = '') -> str:
    """Every elastic backbone, with its arguments."""
    names = [name for name in subclasses('ElasticBackbone') if described(name).registry]
    return '\n\n'.join(_section(described(name), level=2) for name in sorted(names))


def spaces_table(family: str) -> str:
    """The search spaces of a family that have a name."""
    names = entries_of(f'families/{family}/spaces.py', 'SPACES')
    return ', '.join(f'`{name}`' for name in names)


KINDS = dict(
    keys=keys_table,
    arguments=class_table,
    classes=classes_table,
    backbones=backbones_table,
    spaces=spaces_table,
)
_PLACE = re.compile(r'<!-- made of the code: (\w+)((?: [\w./]+)*) -->')


def filled(markdown: str) -> str:
    """A page with its tables, each where the page names it."""
    return _PLACE.sub(lambda found: KINDS[found[1]](*found[2].split()), markdown)


def _section(found: Described, level: int = 3) -> str:
    lines = [f'{"#" * level} `{found.name}`', found.text]
    said = tuple(each for each in found.arguments if each.name not in _made(found.registry))
    if said:
        lines.append(_arguments(said))
    return '\n\n'.join(lines)


def _made(registry: str) -> set[str]:
    """Arguments that classes of a registry are given beside those of a config."""
    there = entries_of('search/registered.py', '_THERE')
    for part, name in entries_of('search/registered.py', '_REGISTRIES').items():
        if ast.unparse(name) == registry:
            return _MADE | set(ast.literal_eval(there[part]))
    return _MADE


def _arguments(arguments: tuple[Argument, ...]) -> str:
    rows = [
        f'| `{each.name}` | {_default(each.default)} | {_cell(each.text)} |' for each in arguments
    ]
    return '\n'.join(['| argument | default | |', '|---|---|---|', *rows])


def _default(text: str) -> str:
    return text if ' ' not in text and text == 'needed' else f'`{_cell(text)}`'


def _cell(text: str) -> str:
    return ' '.join(text.split()).replace('|', '\\|')
