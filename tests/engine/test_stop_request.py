"""SIGTERM is noted by the process that listens, and by none that it forks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
import torch
from refusals import assert_names

from mdl_nas_mm.engine.preemption import Stopped, StopRequest
from mdl_nas_mm.tasks.workers import end_with_parent


def send():
    os.kill(os.getpid(), signal.SIGTERM)
    # Python runs the handler between two of its steps.
    time.sleep(0)


def test_it_is_noted_inside_the_block_alone():
    before = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    threads = threading.active_count()
    request = StopRequest()
    with request.listening():
        assert not request.asked
        send()
        assert request.asked
    assert (signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)) == before
    assert threading.active_count() == threads


def test_other_threads_do_not_listen():
    before = signal.getsignal(signal.SIGTERM)
    inside = []

    def listen():
        with StopRequest().listening():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert inside == [before]


@pytest.mark.parametrize('when', ['before', 'inside'])
def test_what_may_be_left_is_left_at_once(when):
    """Code that catches every failure does not hold it up."""
    request, done = StopRequest(), []
    with request.listening():
        if when == 'before':
            send()
        with pytest.raises(Stopped), request.leaving():
            try:
                send()
            except Exception:
                pass
            done.append('went on')
        send()
    assert not done and request.asked


def forked(function):
    """A process that is forked, runs the function, and waits."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            function()
            os.write(writer, b'.')
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b'.'
    os.close(reader)
    return pid


def end_of(pid):
    """How it ends when it is told to."""
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def nothing():
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def fork_again():
    assert end_of(forked(nothing)) == -signal.SIGTERM


@pytest.mark.parametrize('function', [nothing, fork_again])
@pytest.mark.parametrize('thread', [False, True], ids=['main', 'thread'])
def test_what_is_forked_ends(function, thread):
    request, codes = StopRequest(), []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with request.listening():
        with ExitStack() as stack:
            if not thread:
                stack.enter_context(request.leaving())
            work = threading.Thread(target=lambda: codes.append(end_of(forked(function))))
            work.start() if thread else work.run()
            if thread:
                work.join()
    assert codes == [-signal.SIGTERM] and not request.asked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_a_signal_at_the_moment_of_a_fork_is_not_lost():
    """It waits until the handler is put back: as soon as there is a process, it can be ended."""
    with StopRequest().listening():
        for _ in range(20):
            pid = os.fork()
            if not pid:
                time.sleep(60)
                os._exit(1)
            assert end_of(pid) == -signal.SIGTERM


def say_and_wait(writer):
    os.write(writer, b'.')
    time.sleep(60)


def test_a_pool_of_processes_is_ended():
    """As mmdet's VOC metric has one, whose end otherwise waits for ever."""
    reader, writer = os.pipe()
    with StopRequest().listening():
        pool = multiprocessing.get_context('fork').Pool(2)
        processes = pool._pool
        pool.map_async(say_and_wait, [writer] * 2, chunksize=1)
        # Both work.
        for _ in range(2):
            assert os.read(reader, 1) == b'.'
        pool.terminate()
        pool.join()
    os.close(reader)
    os.close(writer)
    assert [process.exitcode for process in processes] == [-signal.SIGTERM] * 2


def test_programs_that_are_started_end():
    with StopRequest().listening():
        program = subprocess.Popen(
            [sys.executable, '-c', 'print(flush=True); input()'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        program.stdout.readline()
        program.terminate()
        assert program.wait() == -signal.SIGTERM
        program.stdin.close()
        program.stdout.close()


def in_a_process(function, tmp_path):
    """Exit status, and what it says, of a forked process that runs the function."""
    log = tmp_path / 'log'
    pid = os.fork()
    if not pid:
        os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY), 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # So that a fault ends the test.
        signal.alarm(60)
        function()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), log.read_text()


def ask_and_hang():
    with StopRequest(patience=0.1).listening():
        send()
        while True:
            time.sleep(1)


def test_who_cannot_stop_ends_in_time(tmp_path):
    code, text = in_a_process(ask_and_hang, tmp_path)
    assert code == 128 + signal.SIGTERM
    assert_names(text.removesuffix('\n'), 'SIGTERM', '0.1 s', '--resume')


def ask_twice():
    with StopRequest(same_request=0.05).listening():
        # Several signals that come together are one request.
        send()
        send()
        time.sleep(0.2)
        os.write(2, b'went on. ')
        send()
        while True:
            time.sleep(1)


def test_a_second_request_is_not_refused(tmp_path):
    code, text = in_a_process(ask_twice, tmp_path)
    assert code == 128 + signal.SIGTERM
    assert text.startswith('went on. stopped by a second SIGTERM, without saving; go on from')


class Forking(torch.utils.data.Dataset):
    """Says how a process ends that a worker forks; the worker gets SIGTERM from a stranger."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        stranger = os.fork()
        if not stranger:
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(0)
        os.waitpid(stranger, 0)
        return end_of(forked(nothing))


def test_what_a_worker_forks_ends_and_the_worker_goes_on():
    loader = torch.utils.data.DataLoader(
        Forking(), num_workers=1, worker_init_fn=end_with_parent, multiprocessing_context='fork'
    )
    with StopRequest().listening():
        assert [int(code) for code in loader] == [-signal.SIGTERM] * 2


class Endless(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.write(2, str(os.getpid()).encode())
        time.sleep(600)


def test_a_worker_ends_when_its_parent_has_ended(tmp_path):
    """Also while it waits for something that never comes, and however the parent has ended."""

    def die():
        workers = dict(num_workers=1, worker_init_fn=end_with_parent)
        iterator = iter(torch.utils.data.DataLoader(Endless(), **workers))
        while not (tmp_path / 'log').read_text().strip():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
        del iterator

    code, text = in_a_process(die, tmp_path)
    assert code == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        for _ in range(600):
            os.kill(int(text), 0)
            time.sleep(0.1)
