"""Commands on several processes of one machine: all end, whatever happens to one."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from helpers import ROOT

from mdl_nas_mm.apis import workers
from mdl_nas_mm.apis.workers import import_ahead, run_on_processes

pytestmark = pytest.mark.distributed


def config(folder, code):
    """A config that runs this code of ours when it is read, in each process."""
    (folder / 'code_of_a_test.py').write_text(textwrap.dedent(code))
    path = folder / 'config.py'
    path.write_text("custom_imports = dict(imports=['code_of_a_test'])\n")
    return str(path)


def said(folder):
    """What processes have written: rank -> text."""
    return {path.stem: path.read_text() for path in folder.glob('*.txt')}


def test_each_process_has_its_place_and_the_environment_of_now(tmp_path, monkeypatch):
    """Also where the process that they are forked from is older."""
    import_ahead()
    monkeypatch.setenv('FOLDER', str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code = """
    import os, sys
    e = os.environ
    names = ('LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR')
    text = [e[name] for name in names] + [os.getcwd(), sys.argv[0]]
    with open(f'{e["FOLDER"]}/{e["RANK"]}.txt', 'w') as file:
        file.write(' '.join(text))
    os._exit(0)
    """
    assert run_on_processes(2, 'train', config(tmp_path, code))
    rest = f'2 2 127.0.0.1 {tmp_path} mdl-nas train'
    assert said(tmp_path) == {'0': f'0 {rest}', '1': f'1 {rest}'}


@pytest.mark.parametrize(
    'end',
    [
        'os._exit(3)',
        'raise RuntimeError',
        'os.kill(os.getpid(), 9)',
        'raise KeyboardInterrupt',
    ],
)
def test_one_that_fails_ends_the_others(tmp_path, monkeypatch, end):
    monkeypatch.setenv('FOLDER', str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    code = f"""
    import os, signal, time
    e = os.environ
    def asked(*_):
        open(f'{{e["FOLDER"]}}/{{e["RANK"]}}.txt', 'w').write('asked to end')
        raise SystemExit(1)
    if e['RANK'] == '0':
        signal.signal(signal.SIGTERM, asked)
        open(e['FOLDER'] + '/waits', 'w').close()
        time.sleep(600)
    while not os.path.exists(e['FOLDER'] + '/waits'):
        time.sleep(0.01)
    {end}
    """
    assert not run_on_processes(2, 'train', config(tmp_path, code))
    assert said(tmp_path) == {'0': 'asked to end'}


def test_what_does_not_end_when_asked_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, '_SECONDS', 0.5)
    monkeypatch.setenv('FOLDER', str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    code = """
    import os, signal, time
    waits = os.environ['FOLDER'] + '/waits'
    if os.environ['RANK'] == '0':
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(waits, 'w').write(str(os.getpid()))
        time.sleep(600)
    while not os.path.exists(waits) or not open(waits).read():
        time.sleep(0.01)
    raise SystemExit(1)
    """
    assert not run_on_processes(2, 'train', config(tmp_path, code))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'waits').read_text()), 0)


def test_a_command_that_is_none(capfd):
    assert not run_on_processes(2, 'nothing')


def script(folder, code):
    path = folder / 'script.py'
    path.write_text(textwrap.dedent(code))
    return [sys.executable, str(path)], dict(os.environ, PYTHONPATH=f'{ROOT}:{folder}')


@pytest.mark.slow
def test_a_script_is_not_run_again_in_the_processes(tmp_path):
    """It needs no ``if __name__ == '__main__'``."""
    command, environment = script(
        tmp_path,
        """
        from mdl_nas_mm.apis.workers import run_on_processes
        print('here', flush=True)
        print(run_on_processes(2, '--version'), __name__)
        """,
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.stdout.count('here') == 1 and done.stdout.count('mdl_nas_mm ') == 2, done.stderr
    assert done.stdout.endswith('True __main__\n')


@pytest.mark.slow
def test_processes_end_with_the_one_that_has_started_them(tmp_path):
    waiting = config(
        tmp_path,
        """
        import os, time
        open(os.environ['RANK'] + '.txt', 'w').write(str(os.getpid()))
        time.sleep(600)
        """,
    )
    command, environment = script(
        tmp_path,
        f"""
        from mdl_nas_mm.apis.workers import run_on_processes
        run_on_processes(2, 'train', {waiting!r})
        """,
    )
    process = subprocess.Popen(command, env=environment, cwd=tmp_path)
    until = time.monotonic() + 200
    while (len(said(tmp_path)) < 2 or not all(said(tmp_path).values())) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pid in said(tmp_path).values():
        while _is_alive(int(pid)):
            assert time.monotonic() < until
            time.sleep(0.05)


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
