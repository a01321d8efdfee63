r"""Sub-tasks of segmentation on NYUD-v2 as sparse differences, ViT-B.

    python tools/share_computation.py configs/computation_sharing/nyud_vit-b_sub-tasks.py

The base is the deposit of nyud_vit-b_base.py. "Efficient Computation Sharing for Multi-Task Visual
Scene Understanding" (Shoouri et al., ICCV 2023): batch 64, rate 1e-4, decay 1e-6, polynomial. Table
2b: semantic segmentation 50.46 mIoU, depth 533.2 mm RMSE, normals 18.42 degrees, boundary 77.89
odsF; with weights alone shared 50.46, 529.6, 17.62, 77.84; separate models 50.48, 521.5, 17.26,
77.84. 122.46M parameters of 366.64M, 477 MB of 1452, 186.88 GFLOPs of 314.14: the base task 75.20,
a sub-task 37.22 of 79.64. Lambdas were swept, 1 to 10 e-8 for weights and 1 to 10 e-10 for
activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/sub-tasks.py']

base = 'work_dirs/nyud_vit-b_base.safetensors'
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
    depth=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_depth.py',
        score=dict(metric='rmse', scale=50.0),
        train_dataloader=dict(batch_size=64),
        reference=dict(rmse=0.5215),
        model=dict(decode_head=_head),
    ),
    normals=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_normals.py',
        score=dict(metric='mean', scale=1.0),
        loss_weight=10.0,
        train_dataloader=dict(batch_size=64),
        reference=dict(mean=17.26),
        model=dict(decode_head=_head),
    ),
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_edges.py',
        score='odsF',
        loss_weight=50.0,
        train_dataloader=dict(batch_size=64),
        reference=dict(odsF=0.7784),
        model=dict(decode_head=_head),
    ),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-6))
computation_sharing = dict(
    # lambda_a1 = 2.5e-10, times the batch.
    activations=dict(train_cfg=dict(step=dict(activations=dict(coefficient=64 * 2.5e-10)))),
)
