"""Segmentation, depth, normals, key points and edges on the images of Taskonomy.

Weights of losses and, but for depth, whose definition is not told, single scores of AutoTaskFormer.
"""

_maps = dict(
    depth=dict(loss_weight=2.0),
    normals=dict(loss_weight=20.0, reference=dict(ms_ssim=0.757)),
    keypoints2d=dict(loss_weight=30.0, reference=dict(ms_ssim=0.966)),
    edges2d=dict(loss_weight=30.0, reference=dict(ms_ssim=0.945)),
)
tasks = dict(
    semseg=dict(
        config='mdl_nas_mm::scenes/tasks/taskonomy_semseg.py',
        score='mIoU',
        images='taskonomy',
        loss_weight=5.0,
        reference=dict(mIoU=31.0),
    ),
    **{
        name: dict(
            config=f'mdl_nas_mm::scenes/tasks/taskonomy_{name}.py',
            score='ms_ssim',
            images='taskonomy',
            **numbers,
        )
        for name, numbers in _maps.items()
    },
)
