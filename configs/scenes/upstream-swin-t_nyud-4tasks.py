"""Segmentation, depth, normals and edges of NYUD-v2 in one Swin-T of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-swin-t_nyud-4tasks.py

Loss weights of ATRC and InvPT, optimizer and schedule of InvPT. Expected: not measured.
"""

_base_ = ['_base_/joint_upstream-swin-t.py', '_base_/nyud_4tasks.py', '_base_/poly_40k.py']

# Delta_T: scores of tasks/nyud_*.py trained alone, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
