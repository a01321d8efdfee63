"""What a user imports."""

from .tasks import evaluate_deposited, load_task, save_deposit

__all__ = ['evaluate_deposited', 'load_task', 'save_deposit']
