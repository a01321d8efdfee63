"""Commands of the pages: options that there are, and whole pages that run as they stand."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys

import cv2
import pytest
import torch
from documentation.pages import ROOT, commands, files, inline_commands, pages
from documentation.walks import LEFT_OUT, STEPS, WALKS
from mmengine.utils import digit_version

from mdl_nas_mm.__main__ import commands as scripts
from mdl_nas_mm.__main__ import main
from mdl_nas_mm.datasets.rooms import write_rooms

START = ROOT / 'docs' / 'start_here.md'
FOLLOWED = 'start_here.md'


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


def whole_commands(page: str) -> list[str]:
    """Commands of a page that are to be copied: its blocks, and the table of the README."""
    text = pages()[page].read_text()
    inline = inline_commands(text) if page == 'index.md' else []
    return commands(text) + [command for command in inline if is_whole(command)]


def is_whole(command: str) -> bool:
    """Whether a command within a text has what it needs, and is not a mere name."""
    name, *rest = command.split()[1:]
    return bool(rest) and not (name == 'deposit' and len(rest) == 1)


def test_every_command_of_the_pages_is_run_or_left_out_for_a_reason():
    missing, gone = [], []
    for page in pages():
        if page in (FOLLOWED, 'changelog.md') or page in LEFT_OUT:
            continue
        said, run = whole_commands(page), WALKS[page].commands if page in WALKS else {}
        missing += [f'{page}: {one}' for one in said if one not in run and one not in LEFT_OUT]
        gone += [f'{page}: {one}' for one in run if one not in said]
    assert not missing and not gone, '\n'.join(missing + gone)


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
        # What upstream says of optional parts that it lacks would stand above all that matters.
        assert 'Could not import' not in done.stdout + done.stderr
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


@pytest.fixture(scope='module')
def walked(started, shell):
    """Runs the commands of a page, after those that it goes on from; none of them twice."""
    write_rooms(shell.folder / 'data/rooms', images=dict(train=4, search=2, val=3), progress=False)
    rooms = sorted((shell.folder / 'data/rooms/images').glob('*.png'))
    write_clip(shell.folder / 'clip.avi', rooms[:3])
    # docs/export.md: it takes torch 2.6 or newer.
    done, exports = set(), digit_version(torch.__version__) >= digit_version('2.6')

    def walk(page: str) -> None:
        if page in done:
            return
        done.add(page)
        for other in WALKS[page].after:
            walk(other)
        for name, content in WALKS[page].files.items():
            (shell.folder / name).write_text(content)
        for command in WALKS[page].before:
            shell(command)
        for command in WALKS[page].commands.values():
            if command not in done and (exports or not command.startswith('export ')):
                shell(f'mdl-nas {command}')
                done.add(command)

    return walk


def write_clip(path, images):
    """A video of some images."""
    frames = [cv2.imread(str(image)) for image in images]
    height, width, _ = frames[0].shape
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()


@pytest.mark.slow
@pytest.mark.parametrize('page', WALKS)
def test_commands_of_a_page_run(walked, page):
    walked(page)
