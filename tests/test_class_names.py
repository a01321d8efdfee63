"""A name is of one class or one function, so that a reader knows which is meant."""

import ast
from collections import defaultdict
from pathlib import Path

import mdl_nas_mm

PACKAGE = Path(mdl_nas_mm.__file__).parent
# A command is called as the function that does its work.
COMMANDS = ('apis/deposit_commands.py', '__main__.py')


def places_of(kind):
    """Name of a class or function of a module -> the files that have one."""
    places = defaultdict(set)
    for path in sorted(PACKAGE.rglob('*.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, kind):
                places[node.name].add(path.relative_to(PACKAGE).as_posix())
    return places


def test_no_two_classes_have_one_name():
    """Nor one of a file's own the name of another's."""
    places = defaultdict(list)
    for name, found in places_of(ast.ClassDef).items():
        places[name.lstrip('_')] += found
    assert len(places) > 300
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_public_functions_have_one_name():
    """But what ``Family`` asks of each family."""
    places = {}
    for name, found in places_of(ast.FunctionDef).items():
        if not name.startswith('_'):
            found = {'families' if path.startswith('families/') else path for path in found}
            places[name] = found.difference(COMMANDS)
    assert len(places) > 500
    assert not {name: found for name, found in places.items() if len(found) > 1}
