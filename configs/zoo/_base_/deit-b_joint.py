"""Space below DeiT-B, started from mmpretrain's DeiT-B (81.76 top-1 on ImageNet-1K)."""

_base_ = ['deit_joint.py']

weights = 'https://download.openmmlab.com/mmclassification/v0/deit/deit-base_pt-16xb64_in1k_20220216-db63c16c.pth'
backbone = dict(
    space='deit-b-elastic',
    init_cfg=dict(type='Pretrained', checkpoint=weights, reorder=True),
)
# The classifier's last layer is in the same file.
head_weights = dict(type='Pretrained', checkpoint=weights, prefix='head')
tasks = dict(
    cls=dict(
        config='mmpretrain::deit/deit-base_16xb64_in1k.py',
        model=dict(head=dict(init_cfg=head_weights)),
    ),
    det=dict(model=dict(neck=dict(in_channels=768))),
    seg=dict(
        model=dict(
            neck=dict(embed_dim=768),
            decode_head=dict(in_channels=[768, 768, 768, 768]),
            auxiliary_head=dict(in_channels=768),
        )
    ),
)
