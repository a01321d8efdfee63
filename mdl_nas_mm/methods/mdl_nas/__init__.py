"""MDL-NAS: what of it no other method has."""

from .step import JointStep

__all__ = ['JointStep']
