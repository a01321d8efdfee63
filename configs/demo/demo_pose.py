r"""A new task for the demo's deposit: keypoints of turned digits, from where detection is.

python tools/train.py configs/demo/demo_pose.py
python tools/deposit.py add work_dirs/demo/deposit/deposit.safetensors \
    configs/demo/demo_pose.py --checkpoint work_dirs/demo_pose/iter_450.pth
"""

_base_ = ['demo_sketch.py']

inherit = 'det'
tasks = dict(_delete_=True, pose=dict(config='mdl_nas_mm::demo/tasks/pose.py', score='coco/AP'))
