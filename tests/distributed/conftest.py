"""The fixtures that several folders of tests share, and one training that many tests look at."""

import pytest
from distributed.trainings import eventful, trained
from helpers import data, quick_mmengine  # noqa: F401

_FOLDERS = {}


@pytest.fixture
def eventful_run(data, tmp_path_factory):  # noqa: F811
    """World size -> folder of the ``eventful`` training in so many processes; 0: no launcher."""

    def folder_of(world_size):
        if world_size not in _FOLDERS:
            folder = tmp_path_factory.mktemp(f'eventful_{world_size}')
            trained(world_size, eventful(data), folder)
            _FOLDERS[world_size] = folder
        return _FOLDERS[world_size]

    return folder_of
