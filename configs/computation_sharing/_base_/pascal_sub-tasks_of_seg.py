"""Sub-tasks of segmentation on PASCAL-Context: human parsing beside those that all have."""

_base_ = ['pascal_sub-tasks.py']

tasks = dict(
    parts=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_parts.py',
        score='mIoU',
        loss_weight=2.0,
        model=dict(
            decode_head=dict(
                _delete_=True,
                type='mdl_nas_mm.ConvNeXtHead',
                in_index=0,
                channels=1536,
                align_corners=False,
                num_classes=7,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
    )
)
