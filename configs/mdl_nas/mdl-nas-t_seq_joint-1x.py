"""Joint fine-tuning of the supernet of MDL-NAS-T on three domains, sequential sharing, schedule 1x.

python tools/train.py configs/mdl_nas/mdl-nas-t_seq_joint-1x.py

Starts from the weights of mdl-nas-t_pretrain.py.
Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8). The supernet behind Table 4 of
the supplement. A search in it with a budget of 53M for the backbones gave the paper 81.9 top-1,
43.3 box AP, 46.7 mIoU (S-Score 171.9).
"""

_base_ = ['_base_/mdl-nas-t_joint.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
backbone = dict(sharing='Sequential')
