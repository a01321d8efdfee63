"""The command `mdl-nas`, and configs that stand on the package's own, installed or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mdl_nas_mm
from mdl_nas_mm.__main__ import commands, main, usage
from mdl_nas_mm.utils.config_file import read_config

ROOT = Path(__file__).resolve().parent.parent
BASED = "_base_ = ['mdl_nas_mm::_base_/joint_runtime.py']\ntrain_cfg = dict(max_iters=3)\n"


def call(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['mdl-nas', *args])
    main()


def test_every_script_is_a_command():
    scripts = {path.stem.replace('_', '-') for path in (ROOT / 'tools').glob('*.py')}
    assert set(commands()) == scripts
    assert {'train', 'search', 'deposit', 'hold-out', 'doctor'} <= scripts


def test_usage_says_what_each_command_is_for(monkeypatch, capsys):
    lines = {line.split()[0]: line.split()[1:] for line in usage().splitlines() if '  ' in line}
    assert set(commands()) <= set(lines) and all(lines[name] for name in commands())
    call(monkeypatch)
    assert capsys.readouterr().out.strip() == usage()


def test_version(monkeypatch, capsys):
    call(monkeypatch, '--version')
    assert mdl_nas_mm.__version__ in capsys.readouterr().out


def test_command_that_is_none(monkeypatch, capsys):
    with pytest.raises(SystemExit) as error:
        call(monkeypatch, 'trian')
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 'trian'") and 'train' in line


def test_arguments_go_to_the_script(monkeypatch, capsys):
    with pytest.raises(SystemExit) as error:
        call(monkeypatch, 'hold-out', '--help')
    assert error.value.code == 0
    assert capsys.readouterr().out.startswith('usage: mdl-nas hold-out ')


def test_runtime_of_the_package_is_a_base(tmp_path):
    (tmp_path / 'joint.py').write_text(BASED)
    cfg = read_config(tmp_path / 'joint.py')
    assert cfg.runner_type == 'mdl_nas_mm.MultiTaskRunner' and cfg.train_cfg.max_iters == 3


def test_base_that_is_not_there_is_named(tmp_path):
    (tmp_path / 'joint.py').write_text("_base_ = ['mdl_nas_mm::_base_/nothing.py']\n")
    with pytest.raises((ValueError, FileNotFoundError), match='nothing.py'):
        read_config(tmp_path / 'joint.py')


def test_installed_package_outside_of_its_source(wheel_folder, tmp_path):
    """The command, its scripts and the base come from the wheel."""
    (tmp_path / 'joint.py').write_text(BASED)
    code = (
        'import sys\n'
        'from importlib.metadata import distribution\n'
        'from mdl_nas_mm.utils.config_file import read_config\n'
        "print(read_config('joint.py').filename, read_config('joint.py').runner_type)\n"
        "(entry,) = distribution('mdl_nas_mm').entry_points.select(group='console_scripts')\n"
        "sys.argv = [entry.name, 'deposit', '--help']\n"
        'main = entry.load()\n'
        "print(sys.modules['mdl_nas_mm.__main__'].commands()['deposit'])\n"
        'main()\n'
    )
    env = os.environ | {'PYTHONPATH': str(wheel_folder)}
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    config, script, usage, *_ = done.stdout.splitlines()
    assert config.endswith('MultiTaskRunner')
    assert script == str(wheel_folder / 'mdl_nas_mm' / '.mim' / 'tools' / 'deposit.py')
    assert usage.startswith('usage: mdl-nas deposit ')
