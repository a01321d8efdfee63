"""MDL-NAS-B, built on AutoFormer-B: backbone, classification, optimiser of the pre-training."""

_base_ = ['../../_base_/joint_runtime.py']

backbone = dict(
    type='ElasticViT',
    space='mdl-nas-b',
    sharing='AllShared',
    img_size=224,
    patch_size=16,
    head_dim=64,
    drop_path_rate=0.1,
)
tasks = dict(
    cls=dict(
        config='mmpretrain::deit/deit-base_16xb64_in1k.py',
        score='accuracy/top1',
        # AutoFormer has a class token, and classifies by the mean of the patches.
        backbone=dict(out_type='avg_featmap', out_indices=(-1,)),
        model=dict(
            head=dict(
                _delete_=True,
                type='LinearClsHead',
                num_classes=1000,
                in_channels=624,
                loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            )
        ),
        train_dataloader=dict(batch_size=64),
    )
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        # Norms, biases, and the scores of the mask policy, which decay would pull to "specific".
        flat_decay_mult=0.0,
        custom_keys={
            'cls_token': dict(decay_mult=0.0),
            'pos_embed': dict(decay_mult=0.0),
            'rel_pos_embed': dict(decay_mult=0.0),
        },
    ),
)
