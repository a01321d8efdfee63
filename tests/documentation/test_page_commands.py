"""Commands of the pages: options that there are, and whole pages that run as they stand."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys

import pytest
from documentation.pages import ROOT, commands, files, inline_commands, pages

from mdl_nas_mm.__main__ import commands as scripts
from mdl_nas_mm.__main__ import main

START = ROOT / 'docs' / 'start_here.md'
README = ROOT / 'README.md'
STEPS = 2
CKPT = f'work_dirs/joint/iter_{STEPS}.pth'
SPEC = 'work_dirs/joint/search/joint_spec.json'
# A command of the README -> the same with what it leaves open, as start_here.md has it.
FILLED = {
    'mdl-nas test CONFIG CHECKPOINT [--joint-spec FILE]': (
        f'test joint.py {CKPT} --joint-spec {SPEC}'
    ),
    'mdl-nas analyze CONFIG [--joint-spec FILE] [--json]': (
        f'analyze joint.py --joint-spec {SPEC} --input-size seg=32x32'
    ),
    'mdl-nas search CONFIG --checkpoint CHECKPOINT --budget 235M': (
        f'search joint.py --checkpoint {CKPT} --budget 1.5M --work-dir again'
    ),
    'mdl-nas search --from FOLDER/history.jsonl --budget 200M': (
        'search --from work_dirs/joint/search/history.jsonl --budget 1.5M'
    ),
    'mdl-nas deposit pack CONFIG --checkpoint CHECKPOINT --joint-spec FILE --out FILE': (
        f'deposit pack joint.py --checkpoint {CKPT} --joint-spec {SPEC} --out again.safetensors'
    ),
    'mdl-nas deposit list FILE': 'deposit list mine.safetensors',
    'mdl-nas infer FILE INPUTS --out-dir DIR': (
        'infer mine.safetensors data/mine/seg/images/validation --out-dir more'
    ),
    'mdl-nas deposit extract FILE --task det --out DIR': (
        'deposit extract mine.safetensors --task seg --out seg_alone'
    ),
}


def said_by(monkeypatch, *args: str) -> str:
    """The help of a command."""
    monkeypatch.setattr(sys, 'argv', ['mdl-nas', *args, '--help'])
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main()
    return out.getvalue()


def test_commands_of_all_pages_have_the_options_that_there_are(monkeypatch):
    helps, wrong, seen = {}, [], 0
    for page, path in pages().items():
        if page == 'changelog.md':
            continue
        text = path.read_text()
        for command in commands(text) + inline_commands(text):
            _, *words = re.split(r'[\s\[\]|]+', command)
            if not words or words[0].startswith('-') or not words[0].islower():
                continue
            name = words[0]
            if name not in scripts():
                wrong.append(f'{page}: {command}')
                continue
            key = (name, words[1]) if name == 'deposit' and len(words) > 1 else (name,)
            if key not in helps:
                helps[key] = said_by(monkeypatch, *key)
            seen += 1
            for option in (word.split('=')[0] for word in words if word.startswith('--')):
                if not re.search(rf'{re.escape(option)}\b', helps[key]):
                    wrong.append(f'{page}: {command}: {option}')
    assert not wrong, '\n'.join(wrong)
    assert seen > 60


def test_files_of_the_first_page_are_its_configs():
    assert set(files(START.read_text())) == {'joint.py', 'joint_swin.py'}


@pytest.fixture(scope='module')
def shell(wheel_folder, tmp_path_factory):
    """Runs commands in an empty folder, with the installed package, as a page says them."""
    folder, bin_folder = tmp_path_factory.mktemp('empty'), tmp_path_factory.mktemp('bin')
    script = bin_folder / 'mdl-nas'
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mdl_nas_mm "$@"\n')
    script.chmod(0o755)
    env = os.environ | {
        'PYTHONPATH': str(wheel_folder),
        'PATH': f'{bin_folder}{os.pathsep}{os.environ["PATH"]}',
        'OMP_NUM_THREADS': '1',
    }

    def run(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
        return done.stdout

    run.folder = folder
    return run


def shortened(text: str) -> str:
    """A page whose training takes some steps, on some images, in place of minutes."""
    text = re.sub(r'\b600\b', str(STEPS), text.replace('iter_600', f'iter_{STEPS}'))
    text = text.replace('end=30', 'end=1').replace('begin=30, T_max=570', 'begin=1, T_max=1')
    return text.replace('--preview preview', '--preview preview --scale 0.02')


@pytest.fixture(scope='module')
def started(shell):
    """The folder after start_here.md has been followed with a ViT; what its commands printed."""
    text = shortened(START.read_text())
    for name, content in files(text).items():
        (shell.folder / name).write_text(content)
    # What the environment lacks is said by it, with a status of 1, in either case.
    return {command: shell(command) for command in commands(text) if 'doctor' not in command}


@pytest.mark.slow
def test_first_page_runs_as_it_stands(started, shell):
    assert len(started) == 9
    assert (shell.folder / 'work_dirs/joint/search/report.html').is_file()
    assert (shell.folder / 'mine.safetensors').is_file()
    assert any((shell.folder / 'answers/vis').iterdir())
    assert (shell.folder / 'det_alone/det_config.py').is_file()


@pytest.mark.slow
def test_first_page_runs_with_a_swin(started, shell):
    for command in started:
        if command.split()[1] in ('analyze', 'train', 'search', 'deposit', 'infer'):
            command = command.replace('joint', 'joint_swin', command.count('joint'))
            command = command.replace('joint_swin_spec', 'joint_spec').replace(
                '--joint_swin-', '--joint-'
            )
            shell(command.replace('mine.', 'swin.').replace('det_alone', 'swin_alone'))
    assert (shell.folder / 'swin.safetensors').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('said', FILLED)
def test_commands_of_the_readme_run(started, shell, said):
    assert said in inline_commands(README.read_text())
    shell(f'mdl-nas {FILLED[said]}')
