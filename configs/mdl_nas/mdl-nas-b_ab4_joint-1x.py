"""The supernet of MDL-NAS-B-AB4: a layer is shared wholly or not at all (supplement, I).

python tools/train.py configs/mdl_nas/mdl-nas-b_ab4_joint-1x.py

Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16). Its subnets are those of
mdl-nas-b_ab4_search.py.
"""

_base_ = ['_base_/mdl-nas-b_sizes.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
backbone = dict(space=dict(share_ratio=(0, 1)), sharing='Sequential')
