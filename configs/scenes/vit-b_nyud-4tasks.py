"""Four tasks of NYUD-v2 in elastic architectures up to ViT-B, one pass each.

    python tools/train.py configs/scenes/vit-b_nyud-4tasks.py

Head, optimizer, batch and the references of "Efficient Computation Sharing for Multi-Task Visual
Scene Understanding" (Shoouri et al., ICCV 2023, Table 2b), whose ViT-B starts from ImageNet-22K;
steps as in InvPT. Published edges are of 99 thresholds. Expected: not measured.
"""

_base_ = ['_base_/joint_vit-b.py', '_base_/nyud_4tasks.py']

backbone = dict(img_size=(448, 576))
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
    edges=dict(model=dict(decode_head=_head), train_dataloader=_data, reference=dict(odsF=0.7784)),
)
max_iters = 40000
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=4000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-6))
param_scheduler = [dict(type='PolyLR', by_epoch=False, end=max_iters, power=0.9, eta_min=0.0)]
