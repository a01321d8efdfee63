"""The fixtures that the tests of computation sharing have in common with other folders."""

from helpers import data, quick_mmengine  # noqa: F401
