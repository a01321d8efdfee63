"""One elastic backbone for many vision tasks: joint training, joint search, one deposit."""

from .version import __version__

__all__ = ['__version__']
