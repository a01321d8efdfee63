r"""Plain multi-task training of Swin-T: two tasks on the same images, those of COCO.

Instance segmentation (mmdet) and human poses (mmpose, top-down) read the same folder. Each task
has a loader of its own and loads the images for itself: the detector whole images, the pose
estimator the persons cut out of them, each with its own augmentation. One architecture, all of
the backbone shared by both, no search.

One process:
    python tools/train.py configs/multi_task/swin-t_det-pose.py
One machine with 8 GPUs:
    torchrun --standalone --nproc-per-node=8 tools/train.py \
        configs/multi_task/swin-t_det-pose.py --launcher pytorch
Slurm, 16 GPUs, 8 a machine:
    srun --ntasks=16 --ntasks-per-node=8 --gpus-per-node=8 python -u tools/train.py \
        configs/multi_task/swin-t_det-pose.py --launcher slurm

Data: data/coco with train2017, val2017 and, in annotations, instances and person_keypoints of both.
Poses are evaluated in the boxes that mmpose's configs take as well, those in
data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json.
Every number of processes takes the same steps: 16 images and 256 persons.
Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py']

# mmpretrain's Swin-T (81.18 top-1 on ImageNet-1K).
weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'

backbone = dict(
    type='ElasticSwin',
    space='swin-t',
    sharing='AllShared',
    # An image of 256 x 192 ends in a map of 8 x 6, smaller than a window.
    pad_small_map=True,
    drop_path_rate=0.2,
    init_cfg=dict(type='Pretrained', checkpoint=weights),
)
tasks = dict(
    det=dict(
        config='mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
        score='coco/bbox_mAP',
        backbone=dict(out_indices=(0, 1, 2, 3)),
    ),
    pose=dict(
        config='mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192.py',
        score='coco/AP',
        backbone=dict(out_indices=(3,)),
        # Squared errors of heatmaps are some thousandth of the detector's losses. Adam makes up
        # for that where a task trains alone, but not in a sum of gradients.
        loss_weight=1000.0,
    ),
)
groups = dict(det=8, pose=8)

# 12 epochs of the 117,266 images with boxes, 150 of the 149,813 persons with joints.
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
