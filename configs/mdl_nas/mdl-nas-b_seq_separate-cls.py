"""The classification architecture of MDL-NAS-B, sequential sharing, trained alone (supplement, J).

python tools/train.py configs/mdl_nas/mdl-nas-b_seq_separate-cls.py

Hardware: 16 V100, as the task's group has in the joint training (the paper does not say).
Expected (supplement, Table 5): 83.1 top-1; all three separate models have 311M parameters.
"""

_base_ = ['mdl-nas-b_seq_searched.py']

backbone = dict(sharing='AllShared')
tasks = dict(_delete_=True, cls={{_base_.tasks.cls}})
groups = dict(_delete_=True, cls=16)
