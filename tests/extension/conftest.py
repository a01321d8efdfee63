"""The fixtures that several folders of tests share, and one training that many tests look at."""

import pytest
from extension.toy import toy_config
from helpers import build_runner, data, quick_mmengine  # noqa: F401


@pytest.fixture(scope='session')
def trained(data, tmp_path_factory):  # noqa: F811
    """The folder of an uninterrupted training, ``iter_4.pth``."""
    folder = tmp_path_factory.mktemp('toy')
    build_runner(toy_config(data, folder), folder).train()
    return folder
