"""Three tasks for MDL-NAS-T; 8 batches a task and step, one a GPU of the paper."""

_base_ = ['mdl-nas-t.py', 'coco_multi_scale.py']

tasks = dict(
    cls=dict(train_dataloader=dict(batch_size=128)),
    det=dict(
        config='mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
        score='coco/bbox_mAP',
        backbone=dict(out_indices=(0, 1, 2, 3), pad_small_map=True),
        model=dict(neck=dict(in_channels=[128, 192, 448, 736])),
        train_dataloader=dict(batch_size=2, dataset=dict(pipeline={{_base_.det_train_pipeline}})),
    ),
    seg=dict(
        config='mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
        score='mIoU',
        backbone=dict(out_indices=(0, 1, 2, 3), pad_small_map=True),
        model=dict(
            decode_head=dict(in_channels=[128, 192, 448, 736]),
            auxiliary_head=dict(in_channels=448),
        ),
        train_dataloader=dict(batch_size=2),
    ),
)
groups = dict(cls=8, det=8, seg=8)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
load_from = 'work_dirs/mdl-nas-t_pretrain/iter_375600.pth'
default_hooks = dict(checkpoint=dict(interval=7330))
