r"""A new task for the demo's deposit: keypoints of turned digits, from where detection is.

python tools/train.py configs/demo/demo_pose.py
python tools/deposit.py add work_dirs/demo/deposit/deposit.safetensors \
    configs/demo/demo_pose.py --checkpoint work_dirs/demo_pose/iter_450.pth
"""

_base_ = ['demo_sketch.py']

inherit = 'det'
tasks = dict(_delete_=True, pose=dict(config='tasks/pose.py', score='coco/AP'))
max_iters = 450
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=max_iters - 20),
]
