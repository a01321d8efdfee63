r"""MDL-NAS-T-AB3 (S), mask sharing: one share ratio a layer for all tasks.

python tools/search.py configs/mdl_nas/mdl-nas-t_ab3-mask-s_search.py \
    --checkpoint work_dirs/mdl-nas-t_ab3-mask_joint-1x/iter_87960.pth

The budget is the size that the paper reports.
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (Table 6): 82.0 top-1, 43.7 box AP, 47.2 mIoU, 45M in all backbones.
"""

_base_ = ['mdl-nas-t_ab3-mask_joint-1x.py']

search_cfg = dict(budget='45M', with_heads=False, tied='all')
