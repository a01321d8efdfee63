"""The exact best joint spec of what was scored, and the exact front of all budgets."""

from .selection import Selection, pareto_front, select

__all__ = ['Selection', 'pareto_front', 'select']
