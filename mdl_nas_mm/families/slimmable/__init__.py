"""What all slimmable networks have in common: a width ratio for each independent layer.

Slimmable networks (Yu et al., ICLR 2019) with a ratio a layer, as in "Efficient Controllable
Multi-Task Architectures" (Aich et al., ICCV 2023).
"""

from .dimensions import SLIMMABLE, width_choices, widths, with_widths
from .layout import Layer, SlimLayout

__all__ = ['SLIMMABLE', 'Layer', 'SlimLayout', 'width_choices', 'widths', 'with_widths']
