"""The fixtures that several folders of tests share."""

from helpers import quick_mmengine  # noqa: F401
