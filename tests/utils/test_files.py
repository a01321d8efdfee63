"""Locks on files: one holder, and what is no holder."""

import errno
import fcntl
import os

import pytest

from mdl_nas_mm.utils.files import held


def test_one_holder_at_a_time(tmp_path):
    lock = tmp_path / 'lock'
    with held(lock, 'busy'):
        with pytest.raises(ValueError, match='^busy$'), held(lock, 'busy'):
            pass
        assert lock.exists()
    assert not lock.exists()
    with held(lock, 'busy'):
        pass


def test_a_lock_that_was_removed_before_it_was_got(tmp_path, monkeypatch):
    """As by a holder that ends just then; another one may have a new file already."""
    flock = fcntl.flock

    def late(file, operation):
        os.unlink(file.name)
        flock(file, operation)

    monkeypatch.setattr(fcntl, 'flock', late)
    with pytest.raises(ValueError, match='busy'), held(tmp_path / 'lock', 'busy'):
        pass


def test_where_a_file_system_knows_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOSYS, 'Function not implemented')

    monkeypatch.setattr(fcntl, 'flock', unknown)
    lock = tmp_path / 'lock'
    with held(lock, 'busy'), held(lock, 'busy'):
        pass
    assert not lock.exists()
