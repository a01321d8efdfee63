"""What a public docstring says of arguments, it says of all of them.

Sources are parsed, not imported.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / 'mdl_nas_mm'
_ENTRY = re.compile(r'(`*\*{0,2}\w+`*(?:, `*\*{0,2}\w+`*)*):')
Function = ast.FunctionDef | ast.AsyncFunctionDef


def described(docstring: str) -> set[str] | None:
    """The arguments that ``Args:`` names, several in one entry too; None without the section."""
    lines = docstring.splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip() == 'Args:']
    if not starts:
        return None
    names: set[str] = set()
    indent = _indent(lines[starts[0]])
    for line in lines[starts[0] + 1 :]:
        if line.strip() and _indent(line) <= indent:
            break
        entry = _ENTRY.match(line.strip())
        if entry and _indent(line) == indent + 4:
            names |= {name.strip('`*') for name in entry[1].split(', ')}
    return names


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def arguments(function: Function) -> list[str]:
    """Those that are named; what ``*args`` and ``**kwargs`` take may be described or not."""
    args = function.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return [name for name in names if name not in ('self', 'cls') and not name.startswith('_')]


def documented(node: ast.AST, prefix: str = '') -> Iterator[tuple[str, str, Function]]:
    """Name, docstring and signature of public functions, methods and classes."""
    for child in ast.iter_child_nodes(node):
        name = getattr(child, 'name', '_')
        if name.startswith('_'):
            continue
        if isinstance(child, ast.ClassDef):
            for function in child.body:
                if isinstance(function, Function) and function.name == '__init__':
                    yield prefix + name, ast.get_docstring(child) or '', function
            yield from documented(child, f'{prefix}{name}.')
        elif isinstance(child, Function):
            yield prefix + name, ast.get_docstring(child) or '', child


def left_out(source: str) -> list[str]:
    """Arguments that an ``Args:`` section leaves out, and those that it invents."""
    found = []
    for name, docstring, function in documented(ast.parse(source)):
        said = described(docstring)
        if said is not None:
            there = arguments(function)
            found += [f'{name}: {arg} is not described' for arg in there if arg not in said]
            # What is handed on to upstream may be named as well.
            if not (function.args.vararg or function.args.kwarg):
                found += [f'{name}: there is no {arg}' for arg in sorted(said - {*there})]
    return found


def test_args_names_every_argument_or_is_not_there():
    paths = sorted(PACKAGE.rglob('*.py'))
    found = [f'{p.relative_to(PACKAGE)}, {each}' for p in paths for each in left_out(p.read_text())]
    assert not found, '\n'.join(found)


def test_what_the_check_sees():
    source = '''
class A:
    """A.

    Args:
        a, b: two of them.
        kwargs: others,
            or: none.
    """

    def __init__(self, a, b, *, c, **kwargs): ...

    def f(self, x):
        """F.

        Args:
            y: no argument.

        Raises:
            ValueError: never.
        """

    def _g(self, x):
        """Args:"""
'''
    assert left_out(source) == [
        'A: c is not described',
        'A.f: x is not described',
        'A.f: there is no y',
    ]
