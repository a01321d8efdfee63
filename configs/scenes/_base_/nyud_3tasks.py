"""Segmentation, depth and normals on the images of NYUD-v2."""

tasks = dict(
    seg=dict(config='mdl_nas_mm::scenes/tasks/nyud_seg.py', score='mIoU', images='nyud'),
    # Ten centimetres count as much as five points of mIoU or five degrees.
    depth=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_depth.py',
        score=dict(metric='rmse', scale=50.0),
        images='nyud',
    ),
    normals=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_normals.py',
        score=dict(metric='mean', scale=1.0),
        images='nyud',
        loss_weight=10.0,
    ),
)
