"""Joint fine-tuning of the supernet of MDL-NAS-B on three domains, sequential sharing, schedule 1x.

python tools/train.py configs/mdl_nas/mdl-nas-b_seq_joint-1x.py

Starts from the weights of mdl-nas-b_pretrain.py.
Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16). The supernet behind Table 4
of the supplement. A search in it with a budget of 117M for the backbones gave the paper 82.9
top-1, 46.6 box AP, 49.9 mIoU (S-Score 179.4).
"""

_base_ = ['_base_/mdl-nas-b_joint.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Sequential')
