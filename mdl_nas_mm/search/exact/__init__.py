"""The exact best joint spec of what was scored, and the exact front of all budgets."""

from .selection import pareto_front, select

__all__ = ['pareto_front', 'select']
