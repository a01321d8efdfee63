"""The fixtures that several folders of tests share."""

from four_tasks import deposits  # noqa: F401
from helpers import data, quick_mmengine  # noqa: F401
