"""Methods: each a folder with its step, its samplers, and a README. None imports another."""

from . import autotaskformer, computation_sharing, ecmt, mdl_nas

__all__ = ['autotaskformer', 'computation_sharing', 'ecmt', 'mdl_nas']
