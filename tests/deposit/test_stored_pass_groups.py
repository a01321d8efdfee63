"""Tasks of a file by the images that they were trained on together."""

import sys
from types import SimpleNamespace

import pytest
from refusals import raises_naming

from mdl_nas_mm.deposit import stored_pass_groups


def deposit_of(*batches):
    """What is asked of a deposit whose tasks were added batch by batch: task -> its images."""
    tasks = {
        task: dict(region=task, images=images)
        for batch in batches
        for task, images in batch.items()
    }

    def check_task(task):
        if task not in tasks:
            raise ValueError(f'no task {task!r}')

    history = [dict(regions=dict.fromkeys(batch)) for batch in batches]
    return SimpleNamespace(
        path='a', tasks=tasks, manifest=dict(history=history), check_task=check_task
    )


@pytest.fixture(autouse=True)
def one_pass_for_all(monkeypatch):
    # The package's own name is that of the function.
    module = sys.modules[stored_pass_groups.__module__]
    monkeypatch.setattr(module, 'one_pass', lambda deposit, members: [tuple(members)])


def tasks_of(found):
    return sorted(task for groups in found.of.values() for group in groups for task in group)


def test_no_task_is_lost_where_names_are_those_of_other_images():
    """Of one training they differ; a later one may have a task that is named like old images."""
    rooms = dict(depth='rooms', seg='rooms')
    for batches in (
        (rooms, dict(rooms=None)),
        (dict(rooms=None), rooms),
        (rooms, dict(edges='rooms', normals='rooms'), dict(rooms_2=None, rooms_1=None)),
    ):
        found = stored_pass_groups(deposit_of(*batches))
        assert tasks_of(found) == sorted(task for batch in batches for task in batch)
        assert ('depth', 'seg') in [group for groups in found.of.values() for group in groups]


def test_a_task_that_there_is_not_is_refused():
    with raises_naming(ValueError, "'pose'"):
        stored_pass_groups(deposit_of(dict(seg=None)), ['seg', 'pose'])
