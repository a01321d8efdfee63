"""What the tests of scenes share."""

from helpers import data, quick_mmengine  # noqa: F401
