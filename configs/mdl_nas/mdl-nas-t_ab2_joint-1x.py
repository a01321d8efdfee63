"""The supernet of MDL-NAS-T-AB2: the coarse search space alone, everything shared.

python tools/train.py configs/mdl_nas/mdl-nas-t_ab2_joint-1x.py

Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8). Its subnets are those of
mdl-nas-t_ab2-s_search.py and mdl-nas-t_ab2-d_search.py.
"""

_base_ = ['_base_/mdl-nas-t_sizes.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
