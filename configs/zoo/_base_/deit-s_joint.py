"""Space below DeiT-S, started from mmpretrain's DeiT-S (80.69 top-1 on ImageNet-1K)."""

_base_ = ['deit_joint.py']

weights = 'https://download.openmmlab.com/mmclassification/v0/deit/deit-small_pt-4xb256_in1k_20220218-9425b9bb.pth'
backbone = dict(
    space='deit-s-elastic',
    init_cfg=dict(type='Pretrained', checkpoint=weights, reorder=True),
)
# The classifier's last layer is in the same file.
head_weights = dict(type='Pretrained', checkpoint=weights, prefix='head')
tasks = dict(
    cls=dict(
        config='mmpretrain::deit/deit-small_4xb256_in1k.py',
        model=dict(head=dict(init_cfg=head_weights)),
    ),
    det=dict(model=dict(neck=dict(in_channels=384))),
    seg=dict(
        model=dict(
            neck=dict(embed_dim=384),
            decode_head=dict(in_channels=[384, 384, 384, 384]),
            auxiliary_head=dict(in_channels=384),
        )
    ),
)
