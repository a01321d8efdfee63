"""Fixtures and builders that several folders of tests share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import data, quick_mmengine  # noqa: E402, F401
