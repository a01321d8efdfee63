"""Methods: each a folder with its step, its samplers, and a README. None imports another."""

from . import ecmt, mdl_nas

__all__ = ['ecmt', 'mdl_nas']
