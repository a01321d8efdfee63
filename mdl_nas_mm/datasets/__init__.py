"""The bundled demonstration data: domains made of real digits.

``write_demo_data`` writes them in the formats that users of real data have
(class folders, COCO JSON, label maps), ``draw_contact_sheet`` shows them.
"""

from .digits import DOMAINS, SPLITS, write_demo_data
from .formats import CLASSES
from .preview import draw_contact_sheet

__all__ = ['CLASSES', 'DOMAINS', 'SPLITS', 'draw_contact_sheet', 'write_demo_data']
