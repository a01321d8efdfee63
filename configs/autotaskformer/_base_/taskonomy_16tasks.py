"""All sixteen tasks of Taskonomy with a head for each skeleton; loss weights of Table 7.

Maps are predicted by an FCN of one convolution, points by a pooled MLP. Scores that the paper has
of Swin-T alone are the references of Delta_T; those of distances and segments depend on definitions
that it does not tell.
"""

_widths = (128, 224, 416, 800)
_heads = dict(_delete_=True, type='mdl_nas_mm.SkeletonHeads', in_channels=_widths)
_fcn = dict(
    type='FCNHead',
    channels=256,
    num_convs=1,
    concat_input=False,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_of_maps = dict(decode_head=dict(**_heads, head=_fcn))
_of_points = dict(
    decode_head=dict(
        **_heads, head=dict(type='mdl_nas_mm.PooledMLPHead', channels=512, align_corners=False)
    )
)
_semseg = dict(
    **_fcn, num_classes=17, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
)
# Task -> its loss weight, and its score with Swin-T alone.
_maps = dict(
    depth_euclidean=(2.0, None),
    depth=(2.0, None),
    edges2d=(30.0, 0.945),
    edges3d=(10.0, 0.73),
    keypoints2d=(30.0, 0.966),
    keypoints3d=(10.0, 0.564),
    normals=(20.0, 0.757),
    curvature=(0.5, 0.673),
    reshading=(20.0, 0.687),
    autoencoding=(0.1, 0.96),
)
_classes = dict(class_object=(2.0, 47.9), class_scene=(2.0, 60.3))
tasks = dict(
    **{
        name: dict(
            config=f'mdl_nas_mm::scenes/tasks/taskonomy_{name}.py',
            score='top1',
            images='taskonomy',
            loss_weight=weight,
            reference=dict(top1=alone),
            model=_of_points,
        )
        for name, (weight, alone) in _classes.items()
    },
    # The paper shows this loss times 100.
    vanishing_points=dict(
        config='mdl_nas_mm::scenes/tasks/taskonomy_vanishing_points.py',
        score=dict(metric='l2', scale=1000.0),
        images='taskonomy',
        loss_weight=5.0,
        reference=dict(l2=0.01567),
        model=_of_points,
    ),
    semseg=dict(
        config='mdl_nas_mm::scenes/tasks/taskonomy_semseg.py',
        score='mIoU',
        images='taskonomy',
        loss_weight=5.0,
        reference=dict(mIoU=31.0),
        model=dict(decode_head=dict(**_heads, head=_semseg)),
    ),
    **{
        name: dict(
            config=f'mdl_nas_mm::scenes/tasks/taskonomy_{name}.py',
            score='ms_ssim',
            images='taskonomy',
            loss_weight=weight,
            reference=None if alone is None else dict(ms_ssim=alone),
            model=_of_maps,
        )
        for name, (weight, alone) in _maps.items()
    },
    **{
        name: dict(
            config=f'mdl_nas_mm::scenes/tasks/taskonomy_{name}.py',
            score=dict(metric='loss', scale=100.0),
            images='taskonomy',
            model=_of_maps,
        )
        for name in ('segment_unsup2d', 'segment_unsup25d')
    },
)
