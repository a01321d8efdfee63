"""Reports and pictures for people."""

from .answers import plot_answers
from .architectures import plot_joint_spec
from .control_report import read_beside, write_control_report
from .dense import plot_dense_answers
from .densities import plot_densities, write_densities
from .search_hook import SearchHook
from .search_report import write_report
from .summary import print_added, print_comparison, print_summary
from .sweeps import plot_sweep

__all__ = [
    'SearchHook',
    'plot_answers',
    'plot_dense_answers',
    'plot_densities',
    'plot_joint_spec',
    'plot_sweep',
    'print_added',
    'print_comparison',
    'print_summary',
    'read_beside',
    'write_control_report',
    'write_densities',
    'write_report',
]
