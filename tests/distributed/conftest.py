"""The fixtures that several folders of tests share."""

from helpers import data, quick_mmengine  # noqa: F401
