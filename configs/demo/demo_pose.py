r"""A new task for the demo's deposit: keypoints of turned digits, from where detection is.

python tools/train.py configs/demo/demo_pose.py
python tools/deposit.py add work_dirs/demo/deposit/deposit.safetensors \
    configs/demo/demo_pose.py --checkpoint work_dirs/demo_pose/iter_300.pth
"""

_base_ = ['demo_sketch.py']

inherit = 'det'
# In so few steps, heat maps are learned only at a high rate.
optim_wrapper = dict(optimizer=dict(lr=8e-3))
tasks = dict(_delete_=True, pose=dict(config='mdl_nas_mm::demo/tasks/pose.py', score='coco/AP'))
