"""MDL-NAS-T-AB1, which is also baseline 1: one architecture for all tasks, everything shared.

python tools/train.py configs/mdl_nas/mdl-nas-t_all-shared_joint-1x.py

The paper does not print the architecture of AB1, the best for classification after the
pre-training. Its size is 28M, that of sequential/classification, whose sizes stand in for it.
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8).
Expected (Tables 5 and 6, Fig. 2): 81.8 top-1, 40.2 box AP, 47.2 mIoU, 28M in all backbones.
"""

_base_ = ['_base_/mdl-nas-t_sizes.py', '_base_/joint_1x.py']

joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-t_ab1.json'
