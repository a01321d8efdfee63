"""Segmentation, depth, normals, key points and edges on the images of Taskonomy."""

tasks = dict(
    semseg=dict(
        config='tasks/taskonomy_semseg.py',
        score='mIoU',
        images='taskonomy',
        loss_weight=5.0,
        reference=dict(mIoU=31.0),
    ),
    depth=dict(
        config='tasks/taskonomy_depth.py', score='ms_ssim', images='taskonomy', loss_weight=2.0
    ),
    normals=dict(
        config='tasks/taskonomy_normals.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=20.0,
        reference=dict(ms_ssim=0.757),
    ),
    keypoints2d=dict(
        config='tasks/taskonomy_keypoints2d.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=30.0,
        reference=dict(ms_ssim=0.966),
    ),
    edges2d=dict(
        config='tasks/taskonomy_edges2d.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=30.0,
        reference=dict(ms_ssim=0.945),
    ),
)
