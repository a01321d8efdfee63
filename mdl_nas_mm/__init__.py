"""One elastic backbone for many vision tasks: joint training, joint search, one deposit.

Shapes of tensors are written with these letters: B images of a batch, C channels, H and W height
and width (of images in pixels, of maps in patches or tokens), N tokens; such as (B, N, C) for what
a transformer's block gets, or (B, C, H, W) for images and maps.
"""

from .version import __version__

__all__ = ['__version__']
