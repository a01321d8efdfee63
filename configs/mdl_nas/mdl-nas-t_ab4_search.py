r"""MDL-NAS-T-AB4: each layer is shared wholly or not at all (supplement, I).

python tools/search.py configs/mdl_nas/mdl-nas-t_ab4_search.py \
    --checkpoint work_dirs/mdl-nas-t_ab4_joint-1x/iter_87960.pth

The budget is the size that the paper reports.
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (supplement, Table 4): 81.6 top-1, 43.0 box AP, 45.2 mIoU, 57M in all backbones.
"""

_base_ = ['mdl-nas-t_ab4_joint-1x.py']

search_cfg = dict(budget='57M', with_heads=False)
