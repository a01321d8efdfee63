"""Baseline 2 for MDL-NAS-B: one architecture for all tasks, nothing shared inside its blocks.

python tools/train.py configs/mdl_nas/mdl-nas-b_all-spe_joint-1x.py

The architecture is that of mdl-nas-b_all-shared_joint-1x.py. What lies outside the blocks (patch
embedding, positions, last norms) stays shared.
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16).
Expected (Table 6, Fig. 2): 83.2 top-1, 45.6 box AP, 48.9 mIoU, 165M in all backbones.
"""

_base_ = ['mdl-nas-b_all-shared_joint-1x.py']

backbone = dict(sharing='AllSpecific')
