"""The bundled demonstration data: domains made of real digits.

``write_demo_data`` writes them in the formats that users of real data have
(class folders, COCO JSON, label maps), ``plot_contact_sheet`` shows them.
"""

from .digits import DOMAINS, SPLITS, write_demo_data
from .formats import CLASSES
from .preview import plot_contact_sheet

__all__ = ['CLASSES', 'DOMAINS', 'SPLITS', 'plot_contact_sheet', 'write_demo_data']
