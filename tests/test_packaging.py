"""What `pip install .` brings, and the parts of the set-up that need no network."""

import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from refusals import assert_names, raises_naming

from mdl_nas_mm import doctor
from mdl_nas_mm.utils.pins import read_pins
from mdl_nas_mm.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PINS = ('requirements.txt', 'requirements-openmmlab.txt')


def load(folder: Path, *names: str):
    """Import modules of a folder that lies outside the package."""
    sys.path.insert(0, str(folder))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))


SETUP_ENV = ROOT / 'tools' / 'setup_env'
environment, errors, machine, pins, progress, stamp = load(
    SETUP_ENV, 'environment', 'errors', 'machine', 'pins', 'progress', 'stamp'
)
(steps,) = load(SETUP_ENV, 'steps')
MINORS = [
    (stack, minor)
    for stack in pins.STACKS.values()
    for minor in range(stack.pythons[0][1], stack.pythons[1][1] + 1)
]


def test_wheel_asks_for_no_torch_and_no_mm_library(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith('.dist-info/METADATA'))
    lines = wheel.read(name).decode().splitlines()
    asked = [line for line in lines if line.startswith('Requires-Dist')]
    needed = sorted(line.split()[1] for line in asked if 'extra ==' not in line)
    assert [n.split('>')[0] for n in needed] == ['safetensors', 'scikit-learn', 'xxhash']
    version = {}
    exec((ROOT / 'mdl_nas_mm' / 'version.py').read_text(), version)
    assert f'Version: {version["__version__"]}' in lines


def test_the_environment_has_all_that_the_package_may_use(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith('.dist-info/METADATA'))
    lines = wheel.read(name).decode().splitlines()
    asked = [line.split()[1] for line in lines if line.startswith('Requires-Dist')]
    names = {re.split('[>;=]', requirement)[0] for requirement in asked}
    assert {'safetensors', 'torchjd', 'onnx'} <= names
    assert names <= set(pins.ONEDL.packages())


def test_installed_package_has_mim_where_either_make_of_mim_looks(wheel, tmp_path):
    """OpenMMLab's looks into the package, OneDL's into the folder of the first file of the list."""
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index']
    subprocess.run([*pip, '--ignore-installed', '--prefix', tmp_path, wheel.filename], check=True)
    (record,) = tmp_path.rglob('RECORD')
    listed, site = record.read_text(), record.parent.parent
    assert '../bin/mdl-nas' in listed and (tmp_path / 'bin' / 'mdl-nas').is_file()
    for folder in (site / 'mdl_nas_mm', site / listed.split('/')[0]):
        for name in ('model-index.yml', 'tools/doctor.py', *PINS):
            assert (folder / '.mim' / name).is_file()
        source = {p.relative_to(ROOT) for p in (ROOT / 'configs').rglob('*.py')}
        assert source and all((folder / '.mim' / path).is_file() for path in source)


def test_description_works_outside_of_the_repository(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith('.dist-info/METADATA'))
    fields, _, text = wheel.read(name).decode().partition('\n\n')
    assert 'One elastic vision transformer' in text and '![' not in text
    links = re.findall(r'\]\(([^)]*)\)', text)
    assert all(link.startswith(('https://', '#')) for link in links)
    for field in ('Author', 'Keywords', 'Classifier', 'Project-URL'):
        assert f'{field}: ' in fields
    assert 'docs/export.md' in text and 'What it looks like' not in text


def test_index_without_weights_says_so(wheel):
    """What mim searches and downloads in; without any model `mim download` is a traceback."""
    index = yaml.safe_load(wheel.read('mdl_nas_mm/.mim/model-index.yml'))
    assert index['Import'] == []
    assert [model['Name'] for model in index['Models']] == ['no-weights-are-published-yet']


def test_wheel_says_that_it_is_typed(wheel):
    assert 'mdl_nas_mm/py.typed' in wheel.namelist()


def test_wheel_has_every_file_of_data(wheel):
    """Without the known classes no deposit is written or opened."""
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / 'mdl_nas_mm').rglob('*.json')}
    files = {name for name in files if '/.mim/' not in name}
    assert 'mdl_nas_mm/trust/classes/mdl_nas_mm.json' in files
    assert files <= set(wheel.namelist())


def test_wheel_has_every_module(wheel):
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / 'mdl_nas_mm').rglob('*.py')}
    assert {m for m in modules if '/.mim/' not in m} <= set(wheel.namelist())


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert [each['year'] for each in citation['references']] == [2023] * 4


def test_config_names_are_unique():
    """`mim train mdl_nas_mm NAME.py` looks for a name in all of configs/ and wants one file."""
    names = [p.name for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    'line, expected',
    [
        ('  [37/152] c++ -MMD -MF x.o.d -c x.cpp', ('compiling', 37, 152)),
        ('Progress 524288 of 2097152\n', ('downloading', 524288, 2097152)),
        ('Collecting onedl-mmcv==2.3.6', ('collecting onedl-mmcv==2.3.6', 0, 0)),
        ('  Downloading https://x.org/a/torch-2.whl (9 MB)', ('downloading torch-2.whl', 0, 0)),
        ('Building wheels for collected packages: a', ('building wheels for packages', 0, 0)),
        ('  running build_ext', None),
        ('[notice] something', None),
    ],
)
def test_progress_of_a_line(line, expected):
    assert progress.parse_progress(line) == expected


def test_progress_bar_shows_time_left():
    line = progress.show(progress.Progress('compiling', 39, 78), elapsed=130, counted=100)
    assert '[############............]  50%' in line
    assert line.endswith('2:10, about 1:40 left')
    silent = progress.show(progress.Progress('collecting torch'), elapsed=61, counted=61)
    assert silent == 'collecting torch, 1:01'


def test_a_silent_build_is_seen_to_be_alive(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    stream = io.StringIO()
    reporter = progress.Reporter(stream)
    reporter.update(progress.Progress('compiling', 1, 4))
    for now[0] in range(1, 46):
        reporter.update(None)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all('compiling' in line for line in lines)


def test_pins_are_read_for_the_python_at_hand():
    text = 'A_b==1.0  # why\n\n# note\nc==2 ; python_version >= "3.11"\n'
    text += 'c==1 ; python_version < "3.11"\n'
    assert read_pins(text, 10) == {'a-b': '1.0', 'c': '1'}
    assert read_pins(text, 12) == {'a-b': '1.0', 'c': '2'}
    with raises_naming(ValueError, 'torch>=2'):
        read_pins('torch>=2', 11)


@pytest.mark.parametrize('stack, minor', MINORS, ids=lambda value: getattr(value, 'name', None))
def test_everything_that_is_installed_is_pinned(stack, minor):
    pinned = read_pins(stack.pins.read_text(), minor)
    assert set(stack.packages()) <= set(pinned)
    assert pinned['opencv-python'] == pinned['opencv-python-headless']
    for other in set(pins.STACKS.values()) - {stack}:
        assert not {other.mmcv, other.mm_libs[0]} & set(pinned)


@pytest.mark.parametrize('stack', pins.STACKS.values(), ids=lambda stack: stack.name)
def test_doctor_looks_for_what_is_pinned(stack):
    pinned = read_pins(stack.pins.read_text(), stack.pythons[1][1])
    assert {library.distributions(stack.name)[0] for library in doctor.STACK} <= set(pinned)


def test_unknown_stack_is_refused_in_one_line():
    command = [sys.executable, SETUP_ENV, '--stack', 'other']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ''
    assert_names(result.stderr.strip(), "'other'", 'onedl', 'openmmlab')


def test_environment_of_the_other_stack_is_refused(tmp_path):
    version = f'python3.{sys.version_info.minor}'
    site = tmp_path / 'venv' / 'lib' / version / 'site-packages'
    (site / 'onedl_mmcv-2.3.6.dist-info').mkdir(parents=True)
    metadata = 'Metadata-Version: 2.1\nName: onedl-mmcv\nVersion: 2.3.6\n'
    (site / 'onedl_mmcv-2.3.6.dist-info' / 'METADATA').write_text(metadata)
    env = environment.Environment(tmp_path / 'venv', pins.OPENMMLAB)
    assert env.installed() == {'onedl-mmcv': '2.3.6'}
    first = steps.steps(env, sys.executable)[0]
    with raises_naming(errors.SetupError, 'onedl', '--venv'):
        first.done()


def test_unusable_python_is_refused_in_one_line(tmp_path):
    with raises_naming(errors.SetupError, tmp_path / 'python3.11'):
        machine.check_machine(str(tmp_path / 'python3.11'), pins.ONEDL)
    old = tmp_path / 'python3.8'
    old.write_text('#!/bin/sh\necho 3 8 1 1\n')
    old.chmod(0o755)
    with raises_naming(errors.SetupError, '3.8', '3.10', '3.12'):
        machine.check_machine(str(old), pins.ONEDL)
    new = tmp_path / 'python3.12'
    new.write_text('#!/bin/sh\necho 3 12 1 1\n')
    new.chmod(0o755)
    with raises_naming(errors.SetupError, 'torch 2.1.2', '3.10', '3.11'):
        machine.check_machine(str(new), pins.OPENMMLAB)


def test_missing_compiler_is_said_before_anything_long(monkeypatch):
    monkeypatch.setattr(machine.shutil, 'which', lambda name: None)
    with raises_naming(errors.SetupError, 'C++'):
        machine.check_machine(sys.executable, pins.ONEDL)


def test_failing_command_is_logged(tmp_path, capsys):
    env = environment.Environment(tmp_path / 'venv', pins.ONEDL)
    command = [sys.executable, '-c', 'print("[1/2] c++"); print("why it failed"); exit(3)']
    assert env.run(command, progress.Reporter(io.StringIO()), {}) == 3
    env.print_log_end()
    assert 'why it failed' in capsys.readouterr().out
    assert env.version() is None and env.missing(['torch']) == ['torch']


def test_setup_starts_with_the_standard_library_alone():
    command = [sys.executable, '-S', '-I', SETUP_ENV, '--help']
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert out.startswith('usage: setup_env ')


def test_stamp_covers_every_module_of_the_setup():
    assert set(SETUP_ENV.glob('*.py')) <= set(stamp.STAMPED)


def make(*args: str) -> subprocess.CompletedProcess:
    """Run make from its own environment, whatever started the tests."""
    if shutil.which('make') is None:
        pytest.skip('make is not installed')
    inherited = ('MAKE', 'MFLAGS', 'STACK', 'VENV')
    clean = {k: v for k, v in os.environ.items() if not k.startswith(inherited)}
    return subprocess.run(['make', *args], cwd=ROOT, env=clean, capture_output=True, text=True)


@pytest.mark.parametrize('stack', pins.STACKS.values(), ids=lambda stack: stack.name)
def test_make_keeps_the_stacks_apart(stack):
    out = make('-n', 'test', f'STACK={stack.name}', 'PYTHON=python3').stdout
    assert f'--stack {stack.name} --venv {stack.venv} --python python3\n' in out
    assert f'{ROOT / stack.venv}/bin/python -m pytest' in out


def test_make_refuses_an_unknown_stack_in_one_line():
    result = make('test', 'STACK=other')
    assert result.returncode == 2 and result.stdout == ''
    (line,) = result.stderr.splitlines()
    assert "there is no stack 'other': say STACK=onedl or STACK=openmmlab" in line


def test_make_help_lists_the_targets():
    out = make('help')
    for target in ('setup', 'demo', 'test', 'test-all', 'lint', 'doctor', 'clean'):
        assert f'make {target} ' in out.stdout
