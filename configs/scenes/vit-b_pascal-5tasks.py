"""Five tasks of PASCAL-Context in elastic architectures up to ViT-B, one pass each.

    python tools/train.py configs/scenes/vit-b_pascal-5tasks.py

Head, optimizer, batch and the references of "Efficient Computation Sharing for Multi-Task Visual
Scene Understanding" (Shoouri et al., ICCV 2023, Table 2a), whose ViT-B starts from ImageNet-22K;
steps as in InvPT. Published edges are of 99 thresholds. Expected: not measured.
"""

_base_ = ['_base_/joint_vit-b.py', '_base_/pascal_5tasks.py']

backbone = dict(img_size=(512, 512))
_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_channels=768,
    in_index=0,
    channels=1536,
    align_corners=False,
)
tasks = dict(
    seg=dict(
        model=dict(
            decode_head=dict(
                **_head,
                num_classes=21,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
        reference=dict(mIoU=78.24),
    ),
    parts=dict(
        model=dict(
            decode_head=dict(
                **_head,
                num_classes=7,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
        reference=dict(mIoU=73.85),
    ),
    saliency=dict(model=dict(decode_head=_head), reference=dict(maxF_pooled=0.8533)),
    normals=dict(model=dict(decode_head=_head), reference=dict(mean=13.32)),
    edges=dict(model=dict(decode_head=_head), reference=dict(odsF=0.799)),
)
max_iters = 40000
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=4000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-6))
param_scheduler = [dict(type='PolyLR', by_epoch=False, end=max_iters, power=0.9, eta_min=0.0)]
