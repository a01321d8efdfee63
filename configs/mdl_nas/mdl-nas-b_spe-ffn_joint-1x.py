"""Baseline of Fig. 2 for MDL-NAS-B: each task has its own feed-forward layers.

python tools/train.py configs/mdl_nas/mdl-nas-b_spe-ffn_joint-1x.py

The architecture is that of mdl-nas-b_all-shared_joint-1x.py.
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16).
Expected (Fig. 2, without printed numbers): classification and detection gain on everything shared.
"""

_base_ = ['mdl-nas-b_all-shared_joint-1x.py']

backbone = dict(sharing=dict(_delete_=True, ffn='AllSpecific'))
