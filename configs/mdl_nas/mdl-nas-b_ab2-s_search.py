r"""MDL-NAS-B-AB2 (S): one architecture for all tasks, everything shared.

python tools/search.py configs/mdl_nas/mdl-nas-b_ab2-s_search.py \
    --checkpoint work_dirs/mdl-nas-b_ab2_joint-1x/iter_87960.pth

The budget is that of AB1's backbone, since the paper compares "similar parameters".
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (Table 5): 82.9 top-1, 44.6 box AP, 49.8 mIoU, 53M in the shared backbone.
"""

_base_ = ['mdl-nas-b_ab2_joint-1x.py']

search_cfg = dict(budget='55M', with_heads=False, tied='all')
