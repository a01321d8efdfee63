"""A folder of the package imports only from those before it in one order."""

import ast
import subprocess
import sys
from pathlib import Path

import mdl_nas_mm

PACKAGE = Path(mdl_nas_mm.__file__).parent
ORDER = (
    'version',
    'registry',
    'utils',
    'trust',
    'spec',
    'sharing',
    'elastic',
    'tasks',
    'engine',
    'search',
    'deposit',
    'families',
    'methods',
    'datasets',
    'apis',
    'visualization',
    'doctor',
)


# Ask a family for what they know; they go when families bring it themselves.
_TO_BE_MOVED = ('latency_parts.py', 'stock.py', 'extract.py')


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


def test_every_part_has_its_place_in_the_order():
    parts = {part_of(path) for path in source_files()}
    assert parts <= set(ORDER), f'say in ORDER where {sorted(parts - set(ORDER))} belongs'


def test_imports_go_one_way():
    wrong = [
        f'{path.relative_to(PACKAGE)} imports {part}'
        for path in source_files()
        for part in sorted(imported_parts(path))
        if ORDER.index(part) > ORDER.index(part_of(path)) and path.name not in _TO_BE_MOVED
    ]
    assert not wrong


def test_the_root_imports_its_version_alone():
    assert imported_parts(PACKAGE / '__init__.py') == {'version'}


def test_spec_imports_no_part_but_utils():
    files = [path for path in source_files() if part_of(path) == 'spec']
    files = [path for path in files if path.name not in _TO_BE_MOVED]
    assert set().union(*map(imported_parts, files)) == {'spec', 'utils'}


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
        'from mdl_nas_mm.spec import Ledger, SearchSpace, Sharing\n'
        'from mdl_nas_mm.spec.layout import linear_uses\n'
        'class Layout:\n'
        '    def uses(self, spec):\n'
        '        dim = spec.stages[0].embed_dim\n'
        "        return linear_uses('layer', 'ffn', dim, 16, dim, 16, 1.0)\n"
        'space = SearchSpace.from_config(\n'
        '    dict(embed_dim=(8, 16), depth=2, num_heads=1, mlp_ratio=2)\n'
        ')\n'
        'print(Ledger(Layout(), Sharing()).params(space.largest()))\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
