"""Tasks of NYUD-v2 behind a ViT-B: head, batch and references of "Efficient Computation Sharing".

(Shoouri et al., ICCV 2023, Table 2b, whose ViT-B starts from ImageNet-22K.) The head takes the
first map that the backbone returns.
"""

_base_ = ['nyud_3tasks.py']

_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=768,
    in_index=0,
    channels=1536,
    align_corners=False,
)
_data = dict(batch_size=64)
tasks = dict(
    seg=dict(
        model=dict(
            decode_head=dict(
                **_head,
                num_classes=40,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
        train_dataloader=_data,
        reference=dict(mIoU=50.48),
    ),
    depth=dict(model=dict(decode_head=_head), train_dataloader=_data, reference=dict(rmse=0.5215)),
    normals=dict(model=dict(decode_head=_head), train_dataloader=_data, reference=dict(mean=17.26)),
)
