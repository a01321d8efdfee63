"""Segmentation, human parts, saliency, normals and edges on the images of PASCAL-Context."""

tasks = dict(
    seg=dict(config='mdl_nas_mm::scenes/tasks/pascal_seg.py', score='mIoU', images='pascal'),
    parts=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_parts.py',
        score='mIoU',
        images='pascal',
        loss_weight=2.0,
    ),
    saliency=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_saliency.py',
        score='maxF_pooled',
        images='pascal',
        loss_weight=5.0,
    ),
    normals=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_normals.py',
        score=dict(metric='mean', scale=1.0),
        images='pascal',
        loss_weight=10.0,
    ),
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_edges.py',
        score='odsF',
        images='pascal',
        loss_weight=50.0,
    ),
)
