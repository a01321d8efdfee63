"""Any number of threads load tasks and predict, with the answers of a single one."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from four_tasks import ALL
from helpers import differences, plain, run_python
from mmengine.registry import DefaultScope

from mdl_nas_mm.apis import MultiTaskInferencer, load_task
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.randomness import seeded

THREADS = 20


@pytest.fixture(autouse=True)
def many_switches():
    """Threads take turns a thousand times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(function, arguments):
    """The results of calls in threads that begin together."""
    barrier = threading.Barrier(THREADS)

    def call(argument):
        barrier.wait()
        return function(argument)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, arguments))


@pytest.fixture(scope='module')
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 48, 3), np.uint8) for _ in range(4)]


def answers(inferencer, images):
    return plain({task: found['predictions'] for task, found in inferencer(images).items()})


def test_threads_load_what_one_loads(deposits):
    """Two files, tasks of four libraries, in any order."""
    files = list(deposits.values())
    asked = [(files[number % 2], ALL[number % 3 + number % 2]) for number in range(THREADS)]
    models = at_once(lambda each: load_task(*each), asked)
    for each, model in zip(asked, models):
        assert differences(model.state_dict(), load_task(*each).state_dict()) == []
        assert not model.training
    assert {task for _, task in asked} == set(ALL)


def test_threads_are_the_first_to_load(deposits, tmp_path):
    """So the libraries, each with its registries, are imported by several threads."""
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from mdl_nas_mm.apis import load_task
sys.setswitchinterval(1e-6)
path, *tasks = sys.argv[1:]
with ThreadPoolExecutor(len(tasks)) as pool:
    models = list(pool.map(lambda task: load_task(path, task), tasks))
print(*(type(model).__name__ for model in models))
"""
    done = run_python(code, deposits['digit'], *ALL, *ALL, *ALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = ['ImageClassifier', 'MaskRCNN', 'EncoderDecoder', 'TopdownPoseEstimator']
    # Some libraries print when they are imported.
    assert done.stdout.split()[-12:] == names * 3


def test_threads_predict_what_one_predicts(deposits, images):
    """Inferencers that are built at once, and one that all use, with other images in each call."""
    path = deposits['person']
    shared = MultiTaskInferencer(path, device='cpu', show_progress=False)
    expected = [answers(shared, images[i:] + images[:i]) for i in range(len(images))]

    def predict(number):
        own = shared
        if number % 4 == 0:
            own = MultiTaskInferencer(path, device='cpu', show_progress=False)
        return answers(own, images[number % 4 :] + images[: number % 4])

    for number, found in enumerate(at_once(predict, range(THREADS))):
        assert differences(found, expected[number % 4]) == []


def test_threads_draw_what_one_draws(deposits, images):
    """With bars of progress as well; mmdet varies the colours of masks at random."""
    inferencer = MultiTaskInferencer(deposits['digit'], ['cls', 'seg', 'pose'], 'cpu')
    expected = plain(inferencer(images[0], return_vis=True))
    for found in at_once(lambda _: plain(inferencer(images[0], return_vis=True)), range(THREADS)):
        assert differences(found, expected) == []


def current_scopes():
    """The process's default scopes: mmengine puts back copies of them, so their names count."""
    return {name: each.scope_name for name, each in DefaultScope._instance_dict.items()}


def test_what_is_one_for_the_process_is_put_back(capsys):
    """Default scope, random states, standard output."""
    DefaultScope.get_instance('one_before', scope_name='mmengine')
    scopes, state = current_scopes(), torch.get_rng_state()

    def change(number):
        scope = ('mmdet', 'mmseg')[number % 2]
        with quiet(), task_scope(scope), seeded(number):
            drawn = torch.rand(3), np.random.rand()
            assert DefaultScope.get_current_instance().scope_name == scope
        return drawn

    for number, (first, second) in enumerate(at_once(change, range(THREADS))):
        with seeded(number):
            assert torch.equal(first, torch.rand(3)) and second == np.random.rand()
    print('seen')
    assert capsys.readouterr().out == 'seen\n'
    assert current_scopes() == scopes
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_a_process_forked_while_another_thread_loads(deposits):
    """As data loaders' workers are."""
    inside, done = threading.Event(), threading.Event()

    def hold():
        with task_scope('mmseg'):
            inside.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        with task_scope('mmdet'):
            os._exit(DefaultScope.get_current_instance().scope_name != 'mmdet')
    deadline = threading.Timer(60, os.kill, (child, 9))
    deadline.start()
    status = os.waitpid(child, 0)[1]
    deadline.cancel()
    done.set()
    thread.join()
    assert status == 0
