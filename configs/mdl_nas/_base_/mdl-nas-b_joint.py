"""Three tasks for MDL-NAS-B; 16 batches a task and step, one a GPU of the paper."""

_base_ = ['mdl-nas-b.py', 'coco_multi_scale.py']

# What ViTDet's heads have: a layer norm over the channels of each place.
ln2d = dict(type='mmpretrain.LN2d', eps=1e-6)
tasks = dict(
    cls=dict(train_dataloader=dict(batch_size=32)),
    det=dict(
        config='mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
        score='coco/bbox_mAP',
        backbone=dict(out_type='featmap', out_indices=(-1,), window_size=14),
        model=dict(
            neck=dict(
                _delete_=True,
                type='mdl_nas_mm.SimpleFeaturePyramid',
                in_channels=624,
                out_channels=256,
                num_outs=5,
                norm_cfg=ln2d,
            ),
            rpn_head=dict(num_convs=2),
            roi_head=dict(
                bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=ln2d),
                mask_head=dict(norm_cfg=ln2d),
            ),
        ),
        train_dataloader=dict(batch_size=1, dataset=dict(pipeline={{_base_.det_train_pipeline}})),
    ),
    seg=dict(
        config='mmseg::vit/vit_deit-b16_upernet_8xb2-160k_ade20k-512x512.py',
        score='mIoU',
        backbone=dict(out_type='featmap', out_indices=(3, 7, 11, 15)),
        model=dict(
            neck=dict(
                _delete_=True, type='Feature2Pyramid', embed_dim=624, rescales=[4, 2, 1, 0.5]
            ),
            decode_head=dict(in_channels=[624, 624, 624, 624]),
            auxiliary_head=dict(in_channels=624),
        ),
        train_dataloader=dict(batch_size=1),
    ),
)
groups = dict(cls=16, det=16, seg=16)
optim_wrapper = dict(optimizer=dict(lr=8e-5))
load_from = 'work_dirs/mdl-nas-b_pretrain/iter_313000.pth'
default_hooks = dict(checkpoint=dict(interval=7330))
