r"""MDL-NAS-B-AB4: each layer is shared wholly or not at all (supplement, I).

python tools/search.py configs/mdl_nas/mdl-nas-b_ab4_search.py \
    --checkpoint work_dirs/mdl-nas-b_ab4_joint-1x/iter_87960.pth

The budget is the size that the paper reports.
Scored on images set aside from the training sets (_base_/held_out.py).
Hardware: one GPU (the paper does not say).
Expected (supplement, Table 4): 83.0 top-1, 46.3 box AP, 49.6 mIoU, 117M in all backbones.
"""

_base_ = ['mdl-nas-b_ab4_joint-1x.py']

search_cfg = dict(budget='117M', with_heads=False)
