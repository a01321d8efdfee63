"""MDL-NAS-T, built on Swin-T: backbone, classification, optimiser of the pre-training."""

_base_ = ['../../_base_/joint_runtime.py']

backbone = dict(
    type='ElasticSwin',
    space='mdl-nas-t',
    sharing='AllShared',
    window_size=(7, 14, 14, 7),
    patch_size=4,
    head_dim=32,
    drop_path_rate=0.1,
)
tasks = dict(
    cls=dict(
        config='mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
        score='accuracy/top1',
        backbone=dict(out_indices=(3,)),
        model=dict(head=dict(in_channels=736)),
        train_dataloader=dict(batch_size=64),
    )
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        # Norms, biases, and the scores of the mask policy, which decay would pull to "specific".
        flat_decay_mult=0.0,
        custom_keys={
            'relative_position_bias_table': dict(decay_mult=0.0),
        },
    ),
)
