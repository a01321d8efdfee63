"""What the tests of stock configs share."""

from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import data, quick_mmengine  # noqa: F401
from persons import write_persons
from stock import write_deposit, write_json

from mdl_nas_mm.families import ElasticSwin
from mdl_nas_mm.spec import SubnetSpec


@pytest.fixture(scope='session')
def sources(tmp_path_factory) -> Path:
    """A folder with what ``arch`` can name; see ``backbone_of``."""
    folder = tmp_path_factory.mktemp('sources')
    write_json(folder / 'joint_spec.json')
    write_deposit(folder / 'deposit.safetensors')
    return folder


@pytest.fixture(scope='session')
def persons(tmp_path_factory) -> Path:
    """The folder of the drawn persons."""
    return write_persons(tmp_path_factory.mktemp('persons'))


@pytest.fixture
def data_of(data, persons):  # noqa: F811
    """Task -> the folder of its data."""

    def folder(task: str) -> Path:
        return persons if task == 'pose' else data

    return folder


class Ran(NamedTuple):
    """The architectures that elastic Swins ran as, in order."""

    in_training: list[SubnetSpec]
    in_evaluation: list[SubnetSpec]


@pytest.fixture
def ran(monkeypatch) -> Ran:
    """What all elastic Swins of a test run as."""
    specs, forward = Ran([], []), ElasticSwin.forward_subnet

    def record(self, x, task, spec):
        (specs.in_training if self.training else specs.in_evaluation).append(spec)
        return forward(self, x, task, spec)

    monkeypatch.setattr(ElasticSwin, 'forward_subnet', record)
    return specs
