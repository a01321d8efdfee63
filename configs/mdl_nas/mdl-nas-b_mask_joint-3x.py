"""Joint fine-tuning of the supernet of MDL-NAS-B on three domains, mask sharing, schedule 3x.

python tools/train.py configs/mdl_nas/mdl-nas-b_mask_joint-3x.py

Starts from the weights of mdl-nas-b_pretrain.py.
Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16). The supernet of the main
results; the paper gives the numbers of the subnets that its search found (see the config named
search).
"""

_base_ = ['_base_/mdl-nas-b_joint.py', '_base_/held_out.py', '_base_/joint_3x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Mask')
