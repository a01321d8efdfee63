"""Space below Swin-S, started from mmpretrain's Swin-S (83.02 top-1 on ImageNet-1K)."""

_base_ = ['swin_joint.py']

weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/swin_small_224_b16x64_300e_imagenet_20210615_110219-7f9d988b.pth'
backbone = dict(
    space='swin-s-elastic',
    init_cfg=dict(type='Pretrained', checkpoint=weights, reorder=True),
)
# The classifier's last layer is in the same file; upstream's own init_cfg is None.
head_weights = dict(_delete_=True, type='Pretrained', checkpoint=weights, prefix='head')
tasks = dict(
    cls=dict(
        config='mmpretrain::swin_transformer/swin-small_16xb64_in1k.py',
        model=dict(head=dict(init_cfg=head_weights)),
    )
)
