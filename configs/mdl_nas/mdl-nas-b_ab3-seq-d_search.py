r"""MDL-NAS-B-AB3 (D), sequential sharing: share ratios for each task.

python tools/search.py configs/mdl_nas/mdl-nas-b_ab3-seq-d_search.py \
    --checkpoint work_dirs/mdl-nas-b_ab3-seq_joint-1x/iter_87960.pth

The budget is the size that the paper reports.
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (Table 6): 82.9 top-1, 46.6 box AP, 49.8 mIoU, 101M in all backbones.
"""

_base_ = ['mdl-nas-b_ab3-seq_joint-1x.py']

search_cfg = dict(budget='101M', with_heads=False)
