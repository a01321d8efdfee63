"""The supernet of MDL-NAS-T-AB3: the sizes of AB1 for all tasks, sequential sharing.

python tools/train.py configs/mdl_nas/mdl-nas-t_ab3-seq_joint-1x.py

The fine search space alone: a subnet differs from another in its share ratios. The sizes are those
of mdl-nas-t_all-shared_joint-1x.py.
A step has four subnets a task, as a sandwich; all have these sizes, and share ratios of their own.
Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8). Its subnets are those of
mdl-nas-t_ab3-seq-s_search.py and mdl-nas-t_ab3-seq-d_search.py.
"""

_base_ = ['_base_/mdl-nas-t_ab3.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Sequential')
train_cfg = dict(sampler=dict(type='UniformSampler', num_random=4))
