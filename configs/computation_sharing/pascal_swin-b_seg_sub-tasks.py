r"""Sub-tasks of segmentation on PASCAL-Context as sparse differences, Swin-B.

    python tools/share_computation.py configs/computation_sharing/pascal_swin-b_seg_sub-tasks.py

The base is the deposit of pascal_swin-b_seg_base.py. "Efficient Computation Sharing for Multi-Task
Visual Scene Understanding" (Shoouri et al., ICCV 2023): batch 6, rate 5e-5, decay 1e-6, polynomial.
Table 3, segmentation as the base: 79.1 mIoU, parsing 70.0 mIoU, saliency 84.2 maxF, normals 14.3
degrees, boundary 74.5 odsF; separate models 79.1, 71.6, 84.6, 13.5, 76.0. 149.3M parameters of
516.1M, 241.1 GFLOPs of 444.3. Lambdas were swept, 1 to 10 e-8 for weights and 1 to 10 e-10 for
activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/sub-tasks.py']

base = 'work_dirs/pascal_swin-b_seg_base.safetensors'
inherit = 'seg'
_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=1024,
    in_index=0,
    channels=1536,
    align_corners=False,
)
tasks = dict(
    parts=dict(
        config='../scenes/tasks/pascal_parts.py',
        score='mIoU',
        loss_weight=2.0,
        reference=dict(mIoU=71.6),
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
        reference=dict(maxF_pooled=0.846),
        model=dict(decode_head=_head),
    ),
    normals=dict(
        config='../scenes/tasks/pascal_normals.py',
        score=dict(metric='mean', scale=1.0),
        loss_weight=10.0,
        reference=dict(mean=13.5),
        model=dict(decode_head=_head),
    ),
    edges=dict(
        config='../scenes/tasks/pascal_edges.py',
        score='odsF',
        loss_weight=50.0,
        reference=dict(odsF=0.76),
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
