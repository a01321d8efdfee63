"""The demo's joint training with one feature pyramid for detection and segmentation.

python tools/train.py configs/demo/demo_shared_pyramid.py

Starts from demo_pretrain.py's checkpoint. What sharing it saves is in docs/parts.md.
"""

_base_ = ['demo_joint.py']

parts = dict(pyramid=dict(module='neck', tasks=('det', 'seg')))

_channels = 64
_pyramid = dict(
    _delete_=True,
    type='mdl_nas_mm.SimpleFeaturePyramid',
    in_channels=96,
    out_channels=_channels,
    num_outs=3,
    scale_factors=(2, 1, 0.5),
)
# Patches are of 4 pixels.
_strides = [2, 4, 8]
_extractor = dict(featmap_strides=_strides, finest_scale=8)
tasks = dict(
    det=dict(
        model=dict(
            neck=_pyramid,
            rpn_head=dict(anchor_generator=dict(strides=_strides)),
            roi_head=dict(bbox_roi_extractor=_extractor, mask_roi_extractor=_extractor),
        )
    ),
    seg=dict(
        backbone=dict(out_indices=(-1,)),
        model=dict(
            neck=_pyramid,
            decode_head=dict(in_channels=[_channels] * 3, in_index=[0, 1, 2]),
        ),
    ),
)
