"""Methods: each a folder with its step, its samplers, and a README. None imports another."""

from . import mdl_nas

__all__ = ['mdl_nas']
