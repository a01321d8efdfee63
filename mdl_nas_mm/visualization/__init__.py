"""Reports and pictures for people."""

from .summary import print_summary

__all__ = ['print_summary']
