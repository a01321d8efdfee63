"""What a user imports."""

from mdl_nas_mm.deposit import load_tasks

from .deposits import add_to_deposit
from .image_files import MAX_PIXELS
from .inference import MultiTaskInferencer
from .tasks import evaluate_deposited, load_task, save_deposit

__all__ = [
    'MAX_PIXELS',
    'MultiTaskInferencer',
    'add_to_deposit',
    'evaluate_deposited',
    'load_task',
    'load_tasks',
    'save_deposit',
]
