"""Baseline 2 for MDL-NAS-T: one architecture for all tasks, nothing shared inside its blocks.

python tools/train.py configs/mdl_nas/mdl-nas-t_all-spe_joint-1x.py

The architecture is that of mdl-nas-t_all-shared_joint-1x.py. What lies outside the blocks (patch
embedding, positions, last norms) stays shared.
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8).
Expected (Table 6, Fig. 2): 82.1 top-1, 43.5 box AP, 43.9 mIoU, 84M in all backbones.
"""

_base_ = ['mdl-nas-t_all-shared_joint-1x.py']

backbone = dict(sharing='AllSpecific')
