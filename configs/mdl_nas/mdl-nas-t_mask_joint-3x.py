"""Joint fine-tuning of the supernet of MDL-NAS-T on three domains, mask sharing, schedule 3x.

python tools/train.py configs/mdl_nas/mdl-nas-t_mask_joint-3x.py

Starts from the weights of mdl-nas-t_pretrain.py.
Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8). The supernet of the main
results; the paper gives the numbers of the subnets that its search found (see the config named
search).
"""

_base_ = ['_base_/mdl-nas-t_joint.py', '_base_/held_out.py', '_base_/joint_3x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Mask')
