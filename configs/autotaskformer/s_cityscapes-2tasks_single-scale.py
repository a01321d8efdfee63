"""AutoTaskFormer on Cityscapes: segmentation and depth, single-scale skeletons, an MLP a pixel.

    python tools/train.py configs/autotaskformer/s_cityscapes-2tasks_single-scale.py

Settings of Appendix B.2: 19 classes, 256 x 256 in training, 256 x 512 in tests, 200 epochs of
batches of 8, AdamW 5e-4 to 5e-6 by cosine, decay 0.05, both losses count 1. Published (Table 2),
26.3 M parameters: 54.7 mIoU, 92.2 pixel accuracy, 0.013 absolute and 0.27 relative error, 77.7,
91.3 and 96.0 within 1.25, 1.25^2 and 1.25^3. Its depth is MTAN's disparity, this is in metres.
Expected: not measured.
"""

_base_ = ['_base_/supernet.py', '../scenes/_base_/cityscapes_schedule.py']

_heads = dict(_delete_=True, type='mdl_nas_mm.SkeletonHeads', in_channels=(128, 224, 416, 800))
_mlp = dict(
    type='FCNHead',
    channels=256,
    num_convs=1,
    kernel_size=1,
    concat_input=False,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_seg = dict(**_mlp, num_classes=19, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/cityscapes_seg.py',
        score='mIoU',
        images='cityscapes',
        model=dict(decode_head=dict(**_heads, head=_seg)),
    ),
    # A tenth of the distance counts as much as ten points of mIoU.
    depth=dict(
        config='mdl_nas_mm::scenes/tasks/cityscapes_depth.py',
        score=dict(metric='abs_rel', scale=100.0),
        images='cityscapes',
        model=dict(decode_head=dict(**_heads, head=_mlp)),
    ),
)
train_cfg = dict(
    type='MultiTaskTrainLoop',
    step=dict(
        type='AutoTaskFormerStep',
        skeletons='single-scale',
        temperature=dict(steps={{_base_.max_iters}}),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)),
    ),
)
search_cfg = dict(
    budget='27M',
    score=dict(
        metrics=dict(
            seg=['mIoU', 'aAcc'],
            depth=['abs_err', 'abs_rel', 'd1', 'd2', 'd3'],
        )
    ),
)
