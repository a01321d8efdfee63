r"""MDL-NAS-B-AB3 (S), sequential sharing: one share ratio a layer for all tasks.

python tools/search.py configs/mdl_nas/mdl-nas-b_ab3-seq-s_search.py \
    --checkpoint work_dirs/mdl-nas-b_ab3-seq_joint-1x/iter_87960.pth

The budget is the size that the paper reports.
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (Table 6): 83.0 top-1, 46.5 box AP, 49.7 mIoU, 100M in all backbones.
"""

_base_ = ['mdl-nas-b_ab3-seq_joint-1x.py']

search_cfg = dict(budget='100M', with_heads=False, tied='all')
