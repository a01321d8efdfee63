r"""The main result of MDL-NAS-T, sequential sharing: joint search in the 3x supernet.

python tools/search.py configs/mdl_nas/mdl-nas-t_seq_search.py \
    --checkpoint work_dirs/mdl-nas-t_seq_joint-3x/iter_263880.pth

50 joint specs a generation, 20 generations (supplement, E), scored on images set aside from the
training sets (_base_/held_out.py), not on the validation sets. The budget is the total of Table 4,
heads included.
Hardware: one GPU (the paper does not say).
Expected (Table 4): 81.7 top-1, 46.4 box AP, 46.5 mIoU, S-Score 174.6, 115M parameters with heads.
"""

_base_ = ['mdl-nas-t_seq_joint-3x.py']

search_cfg = dict(budget='115M')
