"""What the trainings of these tests leave out."""

from helpers import quick_mmengine  # noqa: F401
