"""Upstream's heads, slimmable: those of the libraries that are installed."""

from importlib.util import find_spec

if find_spec('mmseg') is not None:
    from .aspp import ElasticASPPHead  # noqa: F401
    from .fcn import ElasticFCNHead  # noqa: F401
if find_spec('mmpretrain') is not None:
    from .linear import ElasticLinearClsHead  # noqa: F401
