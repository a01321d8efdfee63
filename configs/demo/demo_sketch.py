r"""A new data set for the demo's deposit: digits on squared paper, from where classification is.

python tools/train.py configs/demo/demo_sketch.py
python tools/deposit.py add work_dirs/demo/deposit/deposit.safetensors \
    configs/demo/demo_sketch.py --checkpoint work_dirs/demo_sketch/iter_300.pth
"""

_base_ = ['../_base_/joint_runtime.py']

base = 'work_dirs/demo/deposit/deposit.safetensors'
inherit = 'cls'
tasks = dict(sketch=dict(config='mdl_nas_mm::demo/tasks/sketch.py', score='accuracy/top1'))
max_iters = 300
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=max_iters - 20),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=150))
