r"""MDL-NAS-T-AB2 (S): one architecture for all tasks, everything shared.

python tools/search.py configs/mdl_nas/mdl-nas-t_ab2-s_search.py \
    --checkpoint work_dirs/mdl-nas-t_ab2_joint-1x/iter_87960.pth

The budget is that of AB1's backbone, since the paper compares "similar parameters".
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (Table 5): 81.6 top-1, 41.0 box AP, 47.8 mIoU, 27M in the shared backbone.
"""

_base_ = ['mdl-nas-t_ab2_joint-1x.py']

search_cfg = dict(budget='28M', with_heads=False, tied='all')
