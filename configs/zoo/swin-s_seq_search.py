r"""Joint search in the space below Swin-S, sequential sharing.

python tools/search.py configs/zoo/swin-s_seq_search.py \
    --checkpoint work_dirs/swin-s_seq_joint-1x/iter_87960.pth

The settings are the paper's: 50 joint specs a generation, 20 generations. Scored on images set
aside from the training sets (configs/mdl_nas/_base_/held_out.py), of which the zoo's weights have
seen those of ImageNet. The budget is 60% of three backbones of Swin-S, 146.5M.
Hardware: one GPU.
Expected: no results are known yet.
"""

_base_ = ['swin-s_seq_joint-1x.py']

search_cfg = dict(budget='88M', with_heads=False)
