"""Reports and pictures for people."""

from .answers import draw_answers
from .architectures import draw_architectures
from .search_report import write_report
from .summary import print_added, print_summary

__all__ = ['draw_answers', 'draw_architectures', 'print_added', 'print_summary', 'write_report']
