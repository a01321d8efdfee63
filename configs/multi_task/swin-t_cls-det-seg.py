r"""Plain multi-task training of Swin-T: classification, detection and segmentation.

One architecture, all of the backbone shared by the three tasks, no search.

One process:
    python tools/train.py configs/multi_task/swin-t_cls-det-seg.py
One machine with 8 GPUs:
    torchrun --standalone --nproc-per-node=8 tools/train.py \
        configs/multi_task/swin-t_cls-det-seg.py --launcher pytorch
Slurm, 24 GPUs, 8 a machine:
    srun --ntasks=24 --ntasks-per-node=8 --gpus-per-node=8 python -u tools/train.py \
        configs/multi_task/swin-t_cls-det-seg.py --launcher slurm

Data: data/imagenet, data/coco and data/ade/ADEChallengeData2016, as upstream's configs have them.
Every number of processes takes the same steps: 1,024 images of ImageNet, 16 of COCO, 16 of ADE20K.
Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py']

# mmpretrain's Swin-T (81.18 top-1 on ImageNet-1K), the last layer of the classifier included.
weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'
head_weights = dict(_delete_=True, type='Pretrained', checkpoint=weights, prefix='head')

backbone = dict(
    type='ElasticSwin',
    space='swin-t',
    sharing='AllShared',
    drop_path_rate=0.2,
    init_cfg=dict(type='Pretrained', checkpoint=weights),
)
tasks = dict(
    cls=dict(
        config='mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
        score='accuracy/top1',
        backbone=dict(out_indices=(3,)),
        model=dict(head=dict(init_cfg=head_weights)),
        train_dataloader=dict(batch_size=128),
    ),
    det=dict(
        config='mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
        score='coco/bbox_mAP',
        backbone=dict(out_indices=(0, 1, 2, 3), pad_small_map=True),
    ),
    seg=dict(
        config='mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
        score='mIoU',
        backbone=dict(out_indices=(0, 1, 2, 3), pad_small_map=True),
    ),
)
groups = dict(cls=8, det=8, seg=8)

# 12 epochs of the 117,266 COCO images with boxes.
max_iters = 12 * 7330
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=7330)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        flat_decay_mult=0.0,
        custom_keys={'relative_position_bias_table': dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=1000),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=1000, T_max=max_iters - 1000),
]
default_hooks = dict(checkpoint=dict(interval=7330))
