"""One writer at a time; sizes of files; what a check of two files tells."""

import fcntl
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from growing import Supernet
from refusals import raises_naming

from mdl_nas_mm.deposit import Deposit, largest_differences, remove, verify
from mdl_nas_mm.deposit.write import locked


def deposited(data, tmp_path, sharing='Sequential', tasks='ab'):
    supernet, path = Supernet(data, sharing), tmp_path / 'a.safetensors'
    joint = supernet.sample(random.Random(0), *tasks)
    supernet.pack(path, joint)
    return supernet, path, joint


def test_a_second_writer_is_refused_while_one_is_at_it(data, tmp_path):
    supernet, path, joint = deposited(data, tmp_path)
    before = path.read_bytes()
    with locked(path):
        for action in (
            lambda: remove(path, 'a'),
            lambda: supernet.pack(path, joint),
            lambda: supernet.add(path, supernet.sample(random.Random(1), 'c')),
        ):
            with raises_naming(ValueError, path, 'process'):
                action()
        # Reading needs no lock.
        assert all(verify(path).values())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    remove(path, 'a')


def test_the_lock_of_a_dead_process_is_none(data, tmp_path):
    _, path, _ = deposited(data, tmp_path)
    lock = path.with_name(f'.{path.name}.lock')
    code = (
        'import fcntl, os, sys\n'
        "file = open(sys.argv[1], 'ab')\n"
        'fcntl.flock(file, fcntl.LOCK_EX)\n'
        'os._exit(1)\n'
    )
    subprocess.run([sys.executable, '-c', code, lock])
    assert lock.is_file()
    remove(path, 'a')
    assert not lock.is_file() and list(Deposit(path).tasks) == ['b']
    with open(lock, 'ab') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with raises_naming(ValueError, path, 'process'), locked(path):
            pass


def test_no_folder_is_made_for_a_file_that_is_not_there(tmp_path):
    with raises_naming(FileNotFoundError, 'absent.safetensors'):
        remove(tmp_path / 'folder' / 'absent.safetensors', 'a')
    assert not list(tmp_path.iterdir())


def test_size_is_that_of_the_ledger(data, tmp_path):
    """The tensors to the byte: weights, buffers of heads, a bit and a score a channel."""
    supernet, path, joint = deposited(data, tmp_path, 'Mask', 'abc')
    deposit, ledger = Deposit(path), supernet.model.backbone.ledger()
    counts = deposit.counts
    uses = [(task, use) for task in joint for use in ledger.layout.uses(joint[task])]
    layers = {
        (t, u.layer): u.groups * u.channels for t, u in uses if ledger.sharing[u.role].has_scores
    }
    bits = [sum(n for (task, _), n in layers.items() if task == t) for t in joint]
    assert deposit.size_of('mask/') == sum(-(-n // 8) for n in bits)
    scores = supernet.model.backbone.scores()
    assert deposit.size_of('scores') == 4 * sum(map(len, scores.values()))
    buffers = sum(b.nbytes for t in joint for b in supernet.model.tasks[t].head.buffers())
    weights = deposit.size_of('shared/') + deposit.size_of('specific/') + deposit.size_of('head/')
    assert weights == 4 * counts.total + buffers
    header = int.from_bytes(path.read_bytes()[:8], 'little')
    assert path.stat().st_size == 8 + header + deposit.size_of('')


def test_a_change_of_answers_is_told(data, tmp_path):
    supernet, path, joint = deposited(data, tmp_path)
    before = shutil.copy(path, tmp_path / 'before.safetensors')
    supernet.add(path, supernet.sample(random.Random(1), 'c'))
    images = [np.full((20, 24, 3), 99, np.uint8)]
    assert largest_differences(before, path) == largest_differences(before, path, images)
    assert largest_differences(before, path) == dict(a=0.0, b=0.0)
    with torch.no_grad():
        supernet.state['tasks.a.head.fc.bias'][3] += 0.25
    supernet.pack(path, joint)
    found = largest_differences(before, path, images)
    assert found['a'] == pytest.approx(0.25, abs=1e-5) and found['b'] == 0
    remove(path, 'b')
    with raises_naming(ValueError, "'b'", "['a']"):
        largest_differences(before, path)


def test_the_users_mask_says_who_may_read_a_deposit(data, tmp_path):
    before = os.umask(0o027)
    try:
        _, path, _ = deposited(data, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
