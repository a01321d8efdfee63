"""Tasks of PASCAL-Context behind a ViT-B: head, batch and references of Shoouri et al.

("Efficient Computation Sharing", ICCV 2023, Table 2a, whose ViT-B starts from ImageNet-22K. Edges
are of 99 thresholds there.) The head takes the first map that the backbone returns.
"""

_base_ = ['pascal_5tasks.py']

_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=768,
    in_index=0,
    channels=1536,
    align_corners=False,
)
_loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
tasks = dict(
    seg=dict(
        model=dict(decode_head=dict(**_head, num_classes=21, loss_decode=_loss)),
        reference=dict(mIoU=78.24),
    ),
    parts=dict(
        model=dict(decode_head=dict(**_head, num_classes=7, loss_decode=_loss)),
        reference=dict(mIoU=73.85),
    ),
    saliency=dict(model=dict(decode_head=_head), reference=dict(maxF_pooled=0.8533)),
    normals=dict(model=dict(decode_head=_head), reference=dict(mean=13.32)),
    edges=dict(model=dict(decode_head=_head), reference=dict(odsF=0.799)),
)
