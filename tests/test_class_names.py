"""A class has one name, and a name one class: so that a reader knows which is meant."""

import ast
from collections import defaultdict
from pathlib import Path

import mdl_nas_mm

PACKAGE = Path(mdl_nas_mm.__file__).parent


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob('*.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 300
    assert not {name: found for name, found in places.items() if len(found) > 1}
