r"""Sub-tasks of human parsing on PASCAL-Context as sparse differences, Swin-B.

    python tools/share_computation.py configs/computation_sharing/pascal_swin-b_parts_sub-tasks.py

The base is the deposit of pascal_swin-b_parts_base.py. "Efficient Computation Sharing for Multi-
Task Visual Scene Understanding" (Shoouri et al., ICCV 2023): batch 6, rate 5e-5, decay 1e-6,
polynomial. Table 3, parsing as the base: segmentation 77.5 mIoU, parsing 71.6 mIoU, saliency 84.1
maxF, normals 14.4 degrees, boundary 74.4 odsF; separate models 79.1, 71.6, 84.6, 13.5, 76.0. 149.5M
parameters of 516.1M, 257.0 GFLOPs of 444.3. Lambdas were swept, 1 to 10 e-8 for weights and 1 to 10
e-10 for activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/pascal_sub-tasks.py']

base = 'work_dirs/pascal_swin-b_parts_base.safetensors'
inherit = 'parts'
_maps = dict(decode_head=dict(in_channels=1024))
tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_seg.py',
        score='mIoU',
        reference=dict(mIoU=79.1),
        model=dict(
            decode_head=dict(
                _delete_=True,
                type='mdl_nas_mm.ConvNeXtHead',
                in_channels=1024,
                in_index=0,
                channels=1536,
                align_corners=False,
                num_classes=21,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
    ),
    saliency=dict(reference=dict(maxF_pooled=0.846), model=_maps),
    normals=dict(reference=dict(mean=13.5), model=_maps),
    edges=dict(reference=dict(odsF=0.76), model=_maps),
)
