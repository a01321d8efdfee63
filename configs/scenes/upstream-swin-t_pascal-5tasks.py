"""Five tasks of PASCAL-Context in one Swin-T of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-swin-t_pascal-5tasks.py

Loss weights of ATRC and InvPT, optimizer and schedule of InvPT. Expected: not measured.
"""

_base_ = ['_base_/joint_upstream-swin-t.py', '_base_/pascal_5tasks.py', '_base_/poly_40k.py']

# Delta_T: scores of tasks/pascal_*.py trained alone, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
