"""What a user imports."""

from .inference import MultiTaskInferencer
from .tasks import evaluate_deposited, load_task, save_deposit

__all__ = ['MultiTaskInferencer', 'evaluate_deposited', 'load_task', 'save_deposit']
