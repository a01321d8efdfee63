"""MDL-NAS-B with ViTDet's convolutions behind four blocks of detection, beside attention.

ViTDet itself has one or the other; ``global_attention=False`` leaves out the attention over the
whole image.
"""

_base_ = ['mdl-nas-b_joint.py']

tasks = dict(det=dict(backbone=dict(propagation='basic')))
