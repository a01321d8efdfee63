"""MDL-NAS-B-AB1, which is also baseline 1: one architecture for all tasks, everything shared.

python tools/train.py configs/mdl_nas/mdl-nas-b_all-shared_joint-1x.py

The paper does not print the architecture of AB1, the best for classification after the
pre-training. Its size is 55M, that of sequential/classification, whose sizes stand in for it.
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16).
Expected (Tables 5 and 6, Fig. 2): 82.9 top-1, 43.9 box AP, 49.6 mIoU, 55M in all backbones.
"""

_base_ = ['_base_/mdl-nas-b_sizes.py', '_base_/joint_1x.py']

joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-b_ab1.json'
