r"""Joint search in the space below Swin-T, mask sharing.

python tools/search.py configs/zoo/swin-t_mask_search.py \
    --checkpoint work_dirs/swin-t_mask_joint-1x/iter_87960.pth

The settings are the paper's: 50 joint specs a generation, 20 generations. Scored on images set
aside from the training sets (configs/mdl_nas/_base_/held_out.py), of which the zoo's weights have
seen those of ImageNet. The budget is 60% of three backbones of Swin-T, 82.6M.
Hardware: one GPU.
Expected: no results are known yet.
"""

_base_ = ['swin-t_mask_joint-1x.py']

search_cfg = dict(budget='50M', with_heads=False)
