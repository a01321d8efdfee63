"""One elastic backbone for many vision tasks: joint training, joint search, one deposit.

Shapes of tensors are written with these letters: B images of a batch, C channels, H and W height
and width (of images in pixels, of maps in patches or tokens), h and w those of a map that is made
of it, N tokens of an image, R rows, which are the tokens of all images, K tasks or classes; such as
(B, N, C) for what a transformer's block gets, or (B, C, H, W) for images and maps.
"""

import sys
from contextlib import suppress

from .utils.notices import WithoutNotices, ignore_warnings
from .version import __version__

__all__ = ['__version__']

# mmengine takes `_base_ = ['mdl_nas_mm::...']` of packages that it knows alone, and looks for the
# distribution of the name given here, which in a development install lies elsewhere than the
# package. What is no distribution it takes for a module, and asks that where it lies. Without
# mmengine specs, ledger and the doctor still work.
with suppress(ImportError):
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE.setdefault('mdl_nas_mm', 'mdl_nas_mm.version')

sys.meta_path.insert(0, WithoutNotices())
ignore_warnings()
