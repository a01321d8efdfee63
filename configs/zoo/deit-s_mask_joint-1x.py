"""Joint training of the space below DeiT-S on three domains, mask sharing, schedule 1x.

python tools/train.py configs/zoo/deit-s_mask_joint-1x.py

Starts from the zoo's DeiT-S; no supernet is pre-trained.
Trains on all images but those that a search scores on (configs/mdl_nas/_base_/held_out.py).
Recipe and hardware are those of MDL-NAS-B: 16 GPUs for each of the three tasks (16+16+16).
Expected: no results are known yet.
"""

_base_ = [
    '_base_/deit-s_joint.py',
    '../mdl_nas/_base_/held_out.py',
    '../mdl_nas/_base_/joint_1x.py',
]

tasks = {{_base_.held_out}}
backbone = dict(sharing='Mask')
