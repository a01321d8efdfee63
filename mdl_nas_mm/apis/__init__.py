"""What a user imports."""

from mdl_nas_mm.deposit import load_tasks
from mdl_nas_mm.elastic.shared_pass import SharedPass

from .controlled import controller_of_file, extract_chosen, save_controlled
from .deposits import add_to_deposit
from .image_files import MAX_PIXELS
from .inference import MultiTaskInferencer
from .tasks import evaluate_deposit, load_task, save_deposit

__all__ = [
    'MAX_PIXELS',
    'MultiTaskInferencer',
    'SharedPass',
    'add_to_deposit',
    'controller_of_file',
    'evaluate_deposit',
    'extract_chosen',
    'load_task',
    'load_tasks',
    'save_controlled',
    'save_deposit',
]
