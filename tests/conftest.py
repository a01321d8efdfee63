"""Makes what lies under tests/ importable as ``from numerics.plain_vit import ...``.

pytest puts the folder of this file on the path; what else is here is the wheel of the package, and
what keeps a runner of one test from changing the default scope of others.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md', 'model-index.yml')
SOURCES += ('requirements.txt', 'requirements-openmmlab.txt', 'configs', 'tools', 'mdl_nas_mm')


@pytest.fixture(scope='session')
def wheel(tmp_path_factory):
    """A wheel of the package, built without network from a copy of the source."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(path, source / name)
    code = f'from setuptools import build_meta; build_meta.build_wheel({str(out)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob('*.whl'))) as archive:
        yield archive


@pytest.fixture(scope='session')
def wheel_folder(wheel, tmp_path_factory):
    """The wheel as it lies where it is installed."""
    folder = tmp_path_factory.mktemp('installed')
    wheel.extractall(folder)
    return folder


@pytest.fixture(autouse=True, scope='module')
def no_default_scope():
    """mmengine's runners and inferencers set it for the process; a file of tests begins without."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def default_scope_is_put_back():
    before = dict(DefaultScope._instance_dict)
    yield
    # mmengine may have put another mapping in the place of this one.
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
