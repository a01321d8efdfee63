"""Segmentation and disparity on the images of MTAN's Cityscapes."""

tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/mtan_cityscapes_seg.py', score='mIoU', images='cityscapes'
    ),
    # Published errors are some 0.013.
    disparity=dict(
        config='mdl_nas_mm::scenes/tasks/mtan_cityscapes_disparity.py',
        score=dict(metric='abs_err', scale=1000.0),
        images='cityscapes',
    ),
)
