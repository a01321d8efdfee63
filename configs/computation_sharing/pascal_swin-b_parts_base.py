r"""The base task on PASCAL-Context: human parsing, Swin-B.

    python tools/train.py configs/computation_sharing/pascal_swin-b_parts_base.py
    python tools/deposit.py pack configs/computation_sharing/pascal_swin-b_parts_base.py \
        --checkpoint work_dirs/pascal_swin-b_parts_base/iter_40000.pth \
        --out work_dirs/pascal_swin-b_parts_base.safetensors --scored

Sub-tasks: pascal_swin-b_parts_sub-tasks.py. The paper's numbers are there. Expected: not measured.
"""

_base_ = ['_base_/swin-b.py']

_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=1024,
    in_index=0,
    channels=3072,
    align_corners=False,
)
tasks = dict(
    parts=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_parts.py',
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
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-6))
