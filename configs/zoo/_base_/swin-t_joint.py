"""Space below Swin-T, started from mmpretrain's Swin-T (81.18 top-1 on ImageNet-1K)."""

_base_ = ['swin_joint.py']

weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'
backbone = dict(
    space='swin-t-elastic',
    init_cfg=dict(type='Pretrained', checkpoint=weights, reorder=True),
)
# The classifier's last layer is in the same file; upstream's own init_cfg is None.
head_weights = dict(_delete_=True, type='Pretrained', checkpoint=weights, prefix='head')
tasks = dict(cls=dict(model=dict(head=dict(init_cfg=head_weights))))
