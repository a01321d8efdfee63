"""Joint training of the space below Swin-S on three domains, sequential sharing, schedule 1x.

python tools/train.py configs/zoo/swin-s_seq_joint-1x.py

Starts from the zoo's Swin-S; no supernet is pre-trained.
Trains on all images but those that a search scores on (configs/mdl_nas/_base_/held_out.py).
Recipe and hardware are those of MDL-NAS-T: 8 GPUs for each of the three tasks (8+8+8).
Expected: no results are known yet.
"""

_base_ = [
    '_base_/swin-s_joint.py',
    '../mdl_nas/_base_/held_out.py',
    '../mdl_nas/_base_/joint_1x.py',
]

tasks = {{_base_.held_out}}
backbone = dict(sharing='Sequential')
