"""The command `mdl-nas`, and configs that stand on the package's own, installed or not."""

import argparse
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from small_deposit import manifest, write_header

import mdl_nas_mm
from mdl_nas_mm.__main__ import commands, main, usage
from mdl_nas_mm.utils.command_line import Parser, there
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


def test_scripts_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in commands().values()}
    assert max(lengths.values()) < 80, lengths


def test_usage_says_what_each_command_is_for(monkeypatch, capsys):
    lines = {line.split()[0]: line.split()[1:] for line in usage().splitlines() if '  ' in line}
    assert set(commands()) <= set(lines) and all(lines[name] for name in commands())
    call(monkeypatch)
    assert capsys.readouterr().out.strip() == usage()


def test_version(monkeypatch, capsys):
    call(monkeypatch, '--version')
    assert mdl_nas_mm.__version__ in capsys.readouterr().out


def test_options_that_texts_of_the_package_name_are_there(monkeypatch, capsys):
    files, named = [*ROOT.glob('mdl_nas_mm/**/*.py'), *ROOT.glob('tools/*.py')], {}
    for path in files:
        # Literals that Python joins.
        text = re.sub(r"'\s*\n\s*f?'", '', path.read_text())
        for command, options in re.findall(r'mdl-nas ([a-z-]+)((?: --[a-z-]+)+)', text):
            named.setdefault(command, set()).update(options.split())
    assert {'infer', 'latency', 'search'} <= set(named)
    for command, options in named.items():
        with pytest.raises(SystemExit):
            call(monkeypatch, command, '--help')
        said = capsys.readouterr().out
        assert not {option for option in options if option not in said}, command


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


def test_config_of_the_package_is_named_on_the_command_line():
    path = there('config')('mdl_nas_mm::demo/demo_joint.py')
    assert Path(path).samefile(ROOT / 'configs' / 'demo' / 'demo_joint.py')


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


LIGHT = [[name, '--help'] for name in commands()]
LIGHT += [['deposit', 'pack', '--help'], ['search'], ['train', 'there.py', '--cfg-options', 'b']]
LIGHT += [
    ['train', 'absent.py'],
    ['train', 'mdl_nas_mm::absent.py'],
    ['deposit', 'test', 'absent'],
    ['deposit', 'list', 'absent'],
    *(['deposit', command, 'deposit', '--task', 'absent'] for command in ('remove', 'test')),
]
LIGHT += [['deposit', 'list', 'deposit']]


def test_what_needs_no_large_library_imports_none(tmp_path):
    """Help, refused arguments, files that are not there, a table of contents: each in turn.

    What one has imported would be found after it.
    """
    (tmp_path / 'there.py').write_text('')
    write_header(tmp_path / 'deposit', manifest())
    code = (
        'import contextlib, io, sys\n'
        'from mdl_nas_mm.__main__ import main\n'
        f'for args in {LIGHT}:\n'
        "    sys.argv[:] = ['mdl-nas', *args]\n"
        '    out, status = io.StringIO(), 0\n'
        '    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):\n'
        '        try:\n'
        '            main()\n'
        '        except SystemExit as error:\n'
        '            status = error.code\n'
        '    said = out.getvalue()\n'
        "    if isinstance(status, str) or 'absent' in str(args):\n"
        "        assert 'error: ' in str(status) and 'absent' in str(status), (args, status)\n"
        '    else:\n'
        "        is_wrong = args[-1] != 'deposit' and '--help' not in args\n"
        '        assert (status or 0) == 2 * is_wrong, (args, status, said)\n'
        "        assert said.startswith(('usage: ', 'error: ', 'task ')), (args, said)\n"
        "    wrong = {'torch', 'mmcv', 'mmdet', 'mmseg', 'mmpose', 'mmpretrain', 'sklearn'}\n"
        '    assert not wrong & set(sys.modules), (args, wrong & set(sys.modules))\n'
    )
    env = os.environ | {'PYTHONPATH': str(ROOT)}
    given = dict(cwd=tmp_path, env=env, capture_output=True, text=True)
    done = subprocess.run([sys.executable, '-c', code], **given)
    assert done.returncode == 0, done.stderr


def test_every_option_is_explained_in_a_sentence():
    """With its default, unless it has to be given; and so is each command."""
    for name in commands():
        for parser in parsers_of(runpy.run_path(str(commands()[name]))):
            assert parser.description[0].isupper() and parser.description.endswith('.'), name
            for action in parser._actions:
                if action.help in (None, argparse.SUPPRESS) or action.dest == 'help':
                    continue
                assert action.help[0].isupper() or '.jsonl' in action.help, action
                assert action.help.endswith('.'), action
                has_to_be = action.required or not action.option_strings or action.dest == 'after'
                assert has_to_be or 'default: ' in action.help, action


def test_default_of_an_option_is_said_without_its_author(capsys):
    parser = Parser(prog='some')
    parser.add_argument('place', help='Where.')
    parser.add_argument('--needed', required=True, help='This.')
    parser.add_argument('--file', help='A file.')
    parser.add_argument('--fast', action='store_true', help='Hurry.')
    parser.add_argument('--size', default=3, help='How large (default: %(default)s).')
    parser.print_help()
    said = [' '.join(line.split()[1:]) for line in capsys.readouterr().out.splitlines()]
    expected = ['Where.', 'NEEDED This.', 'FILE A file (default: none).', 'Hurry (default: no).']
    assert [line for line in said if line in expected] == expected
    assert 'SIZE How large (default: 3).' in said


def parsers_of(script):
    """The parser that a script makes, and those of its commands."""
    made = []

    class Kept(script['Parser']):
        def parse_args(self, *args, **kwargs):
            made.append(self)
            raise SystemExit

    script['parse_args'].__globals__['Parser'] = Kept
    with pytest.raises(SystemExit):
        script['parse_args']()
    (parser,) = made
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            made.extend(action.choices.values())
    return made


@pytest.mark.parametrize(
    'errors', ['engine.errors.one_line_errors', 'utils.early_errors.early_errors']
)
def test_nobody_who_reads_the_output_is_no_trace(tmp_path, errors):
    module, name = errors.rsplit('.', 1)
    code = (
        'import sys, time\n'
        f'from mdl_nas_mm.{module} import {name}\n'
        'sys.stdin.readline()\n'
        f'with {name}():\n'
        '    print(1)\n'
    )
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process = subprocess.Popen([sys.executable, '-c', code], text=True, **pipes)
    process.stdout.close()
    process.stdin.write('go\n')
    process.stdin.flush()
    error = process.stderr.read()
    assert process.wait() == 1 and 'Broken' not in error and 'Traceback' not in error
