"""Segmentation and depth on the images of Cityscapes."""

tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/cityscapes_seg.py', score='mIoU', images='cityscapes'
    ),
    # A tenth of the distance counts as much as ten points of mIoU.
    depth=dict(
        config='mdl_nas_mm::scenes/tasks/cityscapes_depth.py',
        score=dict(metric='abs_rel', scale=100.0),
        images='cityscapes',
    ),
)
