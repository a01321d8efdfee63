"""Several dense tasks on the same images: what the mm libraries lack of it.

Data sets, transforms, models, losses and metrics, registered under the scope ``mdl_nas_mm``, for
any mmseg config as well as for joint ones. They stand on mmseg; without it there is nothing here.
"""

from importlib.util import find_spec

if find_spec('mmseg') is not None:
    from . import datasets, losses, metrics, models, transforms, visualizer  # noqa: F401
