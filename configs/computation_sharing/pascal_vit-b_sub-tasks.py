r"""Sub-tasks of segmentation on PASCAL-Context as sparse differences, ViT-B.

    python tools/share_computation.py configs/computation_sharing/pascal_vit-b_sub-tasks.py

The base is the deposit of pascal_vit-b_base.py. "Efficient Computation Sharing for Multi-Task
Visual Scene Understanding" (Shoouri et al., ICCV 2023): batch 6, rate 5e-5, decay 1e-6, polynomial.
Table 2a: semantic segmentation 78.24 mIoU, human parsing 71.71 mIoU, saliency 85.28 maxF, normals
13.65 degrees, boundary 78.6 odsF; with weights alone shared 78.24, 73.16, 85.42, 13.34, 79.9;
separate models 78.24, 73.85, 85.33, 13.32, 79.9. 114.02M parameters of 438.02M, 482 MB of 1776,
295.84 GFLOPs of 585.15: the base task 120.53, a sub-task 43.76 of 116.15. Lambdas were swept, 1 to
10 e-8 for weights and 1 to 10 e-10 for activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/sub-tasks.py']

base = 'work_dirs/pascal_vit-b_base.safetensors'
inherit = 'seg'
_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=768,
    in_index=0,
    channels=1536,
    align_corners=False,
)
tasks = dict(
    parts=dict(
        config='../scenes/tasks/pascal_parts.py',
        score='mIoU',
        loss_weight=2.0,
        reference=dict(mIoU=73.85),
        model=dict(
            decode_head=dict(
                **_head,
                num_classes=7,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
    ),
    saliency=dict(
        config='../scenes/tasks/pascal_saliency.py',
        score='maxF_pooled',
        loss_weight=5.0,
        reference=dict(maxF_pooled=0.8533),
        model=dict(decode_head=_head),
    ),
    normals=dict(
        config='../scenes/tasks/pascal_normals.py',
        score=dict(metric='mean', scale=1.0),
        loss_weight=10.0,
        reference=dict(mean=13.32),
        model=dict(decode_head=_head),
    ),
    edges=dict(
        config='../scenes/tasks/pascal_edges.py',
        score='odsF',
        loss_weight=50.0,
        reference=dict(odsF=0.799),
        model=dict(decode_head=_head),
    ),
)
_rate = dict(
    optimizer=dict(lr=5e-5), paramwise_cfg=dict(custom_keys=dict(gates=dict(lr_mult=2000.0)))
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-6))
computation_sharing = dict(
    gates=dict(train_cfg=dict(step=dict(optim_wrapper=_rate))),
    places=dict(train_cfg=dict(step=dict(optim_wrapper=_rate))),
    # lambda_a1 = 2.5e-10, times the batch.
    activations=dict(
        train_cfg=dict(step=dict(activations=dict(coefficient=6 * 2.5e-10), optim_wrapper=_rate))
    ),
)
