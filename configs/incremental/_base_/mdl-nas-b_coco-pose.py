"""Human poses of COCO at 256 x 192, top-down, as a new task `pose`.

149,813 persons, 293 steps of 8 x 64 an epoch. The recipe of the paper (supplement, F): Adam,
5e-4, a tenth of it after 170 and 200 of 210 epochs; batch and warm-up are those of mmpose's configs
with this recipe. The paper says neither which head it uses nor which task it starts from: here
the head of ViTPose (two deconvolutions), and classification.
"""

_base_ = ['../../_base_/joint_runtime.py']

inherit = 'cls'
tasks = dict(
    pose=dict(
        config='mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_ViTPose-base_8xb64-210e_coco-256x192.py',
        score='coco/AP',
        backbone=dict(out_type='featmap'),
        model=dict(head=dict(in_channels=624)),
    )
)
groups = dict(pose=8)
max_iters = 210 * 293
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=10 * 293)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=500),
    dict(type='MultiStepLR', by_epoch=False, milestones=[170 * 293, 200 * 293], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=10 * 293))
