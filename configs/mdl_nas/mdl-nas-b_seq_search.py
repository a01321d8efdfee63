r"""The main result of MDL-NAS-B, sequential sharing: joint search in the 3x supernet.

python tools/search.py configs/mdl_nas/mdl-nas-b_seq_search.py \
    --checkpoint work_dirs/mdl-nas-b_seq_joint-3x/iter_263880.pth

50 joint specs a generation, 20 generations (supplement, E), scored on images set aside from the
training sets (_base_/held_out.py), not on the validation sets. The budget is 136M for the
backbones: Table 4 has 256M with heads, of which Tables 1 to 3 have 120M outside the architectures
of the supplement. The heads here (ViTDet, UPerNet of upstream) are smaller, 62M, so that 256M in
all would leave the backbones nearly free.
Hardware: one GPU (the paper does not say).
Expected (Table 4): 82.9 top-1, 48.0 box AP, 50.8 mIoU, S-Score 181.7, 256M parameters with heads.
"""

_base_ = ['mdl-nas-b_seq_joint-3x.py']

search_cfg = dict(budget='136M', with_heads=False)
