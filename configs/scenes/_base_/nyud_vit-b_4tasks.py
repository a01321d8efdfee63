"""The same with edges, whose published score is of 99 thresholds."""

_base_ = ['nyud_vit-b_3tasks.py']

tasks = dict(
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_edges.py',
        score='odsF',
        images='nyud',
        loss_weight=50.0,
        model=dict(
            decode_head=dict(
                _delete_=True,
                type='mdl_nas_mm.ConvNeXtHead',
                in_channels=768,
                in_index=0,
                channels=1536,
                align_corners=False,
            )
        ),
        train_dataloader=dict(batch_size=64),
        reference=dict(odsF=0.7784),
    )
)
