"""A folder of the package imports only from those before it in one order."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mdl_nas_mm
from mdl_nas_mm.elastic.family import known_families

# Words of every family.
GENERIC = {'depth', 'share_ratio'}
PACKAGE = Path(mdl_nas_mm.__file__).parent
ORDER = (
    'version',
    'registry',
    'utils',
    'trust',
    'spec',
    'header',
    'sharing',
    'elastic',
    'tasks',
    'engine',
    'search',
    'deposit',
    'families',
    'methods',
    'scenes',
    'datasets',
    'apis',
    'visualization',
    'doctor',
    '__main__',
)


def part_of(path):
    """The folder, or the module of the package's root, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported_modules(path):
    """Dotted names, from the package on, that a file imports, also inside of functions."""
    own = ('mdl_nas_mm', *path.relative_to(PACKAGE).with_suffix('').parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.') for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(own[: -node.level]) if node.level else []
            base += node.module.split('.') if node.module else []
            yield from ([*base, alias.name] for alias in node.names)


def imported_parts(path):
    """Folders, and modules of the package's root, that a file imports from."""
    parts = {name[1] for name in imported_modules(path) if name[0] == 'mdl_nas_mm' and name[1:]}
    # ``from mdl_nas_mm import __version__`` and the like name no part.
    return {
        part for part in parts if (PACKAGE / part).is_dir() or (PACKAGE / f'{part}.py').exists()
    }


def source_files():
    return [path for path in sorted(PACKAGE.rglob('*.py')) if path != PACKAGE / '__init__.py']


def test_no_method_imports_another():
    wrong = [
        f'{path.relative_to(PACKAGE)} imports {".".join(name)}'
        for path in source_files()
        if part_of(path) == 'methods' and len(path.relative_to(PACKAGE).parts) > 2
        for name in imported_modules(path)
        if name[:2] == ['mdl_nas_mm', 'methods']
        and name[2:3] != [path.relative_to(PACKAGE).parts[1]]
    ]
    assert not wrong


def test_every_part_has_its_place_in_the_order():
    parts = {part_of(path) for path in source_files()}
    assert parts <= set(ORDER), f'say in ORDER where {sorted(parts - set(ORDER))} belongs'


def test_imports_go_one_way():
    wrong = [
        f'{path.relative_to(PACKAGE)} imports {part}'
        for path in source_files()
        for part in sorted(imported_parts(path))
        if ORDER.index(part) > ORDER.index(part_of(path))
    ]
    assert not wrong


def circle_in(imports):
    """Modules that import one another in a circle, or None, of module -> what it imports."""
    done = set()

    def visit(name, way):
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return None
        found = (visit(other, [*way, name]) for other in sorted(imports.get(name, ())))
        circle = next((circle for circle in found if circle), None)
        done.add(name)
        return circle

    return next((circle for name in imports if (circle := visit(name, []))), None)


@pytest.mark.parametrize('folder', ['spec', 'sharing', 'elastic', 'families'])
def test_no_modules_of_a_folder_import_one_another_in_a_circle(folder):
    """Nor where an import is meant for the type checker alone."""
    files = [path for path in source_files() if part_of(path) == folder]
    names = {'.'.join(path.relative_to(PACKAGE).with_suffix('').parts): path for path in files}
    imports = {
        name: {
            '.'.join(module[1:end])
            for module in imported_modules(path)
            for end in (len(module), len(module) - 1)
        }
        & set(names)
        for name, path in names.items()
    }
    assert circle_in(imports) is None


def test_a_circle_is_found():
    assert circle_in(dict(a={'b'}, b={'c'}, c={'b'})) == ['b', 'c']
    assert circle_in(dict(a={'b', 'c'}, b={'c'}, c=set())) is None


def test_the_root_imports_its_version_and_the_finder_that_needs_nothing():
    assert imported_parts(PACKAGE / '__init__.py') == {'version', 'utils'}
    assert 'from .utils.notices import' in (PACKAGE / '__init__.py').read_text()
    assert not imported_parts(PACKAGE / 'utils' / 'notices.py') - {'utils'}


def test_spec_imports_no_other_part_but_utils():
    files = [path for path in source_files() if part_of(path) == 'spec']
    assert set().union(*map(imported_parts, files)) == {'spec', 'utils'}


def names_of_dimensions():
    """What families declare of their architectures, and what follows from these."""
    names = {'head_dim'}
    for family in known_families().values():
        names |= {dimension.name for dimension in family.dimensions.all}
    return names - GENERIC


def lines_with(names, paths):
    """Lines of files in which a name stands as a word."""
    word = re.compile(rf'\b({"|".join(sorted(names))})\b')
    return [
        f'{path.name}, line {number}: {line.strip()}'
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word.search(line)
    ]


def test_no_dimension_is_named_outside_of_the_families():
    names = names_of_dimensions()
    assert {'num_heads', 'embed_dim'} < names
    files = [path for path in source_files() if part_of(path) != 'families']
    assert not lines_with(names, files)


def test_a_dimension_that_is_named_is_found(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text('x = space.num_heads[-1]\nnum_heads_of = 3\n')
    assert lines_with(names_of_dimensions(), [path]) == ['a.py, line 1: x = space.num_heads[-1]']


def test_the_check_sees_every_kind_of_import(tmp_path, monkeypatch):
    """So that a test that finds nothing is known to look."""
    monkeypatch.setattr(sys.modules[__name__], 'PACKAGE', tmp_path)
    for folder in ('spec', 'tasks', 'search', 'engine', 'apis'):
        (tmp_path / folder).mkdir()
    path = tmp_path / 'spec' / 'space.py'
    path.write_text(
        'import mdl_nas_mm.tasks\n'
        'from mdl_nas_mm import search, __version__\n'
        'from . import ledger\n'
        'def f():\n'
        '    from ..engine import loops\n'
        '    from mdl_nas_mm.apis.tasks import load_task\n'
        'import numpy, os.path\n'
    )
    assert imported_parts(path) == {'tasks', 'search', 'spec', 'engine', 'apis'}


def test_spec_needs_neither_torch_nor_mmengine():
    """Specs, ledger and search spaces are usable where only numpy is installed."""
    code = (
        'import sys\n'
        "for name in ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg'):\n"
        '    sys.modules[name] = None\n'
        'from dataclasses import dataclass\n'
        'from mdl_nas_mm.spec import Dimensions, JointSpec, Ledger, SearchSpace\n'
        'from mdl_nas_mm.spec import SharingPolicy\n'
        'from mdl_nas_mm.spec.dimensions import blocks_of, size\n'
        'from mdl_nas_mm.spec.layout import linear_uses\n'
        '@dataclass(frozen=True)\n'
        'class Block:\n'
        "    hidden: int = size('hidden width')\n"
        '@dataclass(frozen=True)\n'
        'class Stage:\n'
        "    width: int = size('width')\n"
        '    blocks: tuple = blocks_of(Block)\n'
        'class Layout:\n'
        '    def uses(self, spec):\n'
        "        return linear_uses('layer', 'ffn', spec.stages[0].width, 16, 3, 3, 1.0)\n"
        'space = SearchSpace.from_config(\n'
        '    dict(width=(8, 16), depth=2, hidden=3), Dimensions(Stage)\n'
        ')\n'
        'class First(SharingPolicy):\n'
        '    def prefix(self, share_ratio, channels):\n'
        '        return channels // 2\n'
        'joint = JointSpec(dict.fromkeys("ab", space.largest()))\n'
        'print(Ledger(Layout(), dict(ffn=First())).count(joint).total)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
