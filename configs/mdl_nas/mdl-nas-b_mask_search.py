r"""The main result of MDL-NAS-B, mask sharing: joint search in the 3x supernet.

python tools/search.py configs/mdl_nas/mdl-nas-b_mask_search.py \
    --checkpoint work_dirs/mdl-nas-b_mask_joint-3x/iter_263880.pth

50 joint specs a generation, 20 generations (supplement, E), scored on images set aside from the
training sets (_base_/held_out.py), not on the validation sets. The budget is 122M for the
backbones: Table 4 has 235M with heads, of which Tables 1 to 3 have 113M outside the architectures
of the supplement. The heads here (ViTDet, UPerNet of upstream) are smaller, 62M, so that 235M in
all would leave the backbones nearly free.
Hardware: one GPU (the paper does not say).
Expected (Table 4): 82.6 top-1, 48.2 box AP, 50.1 mIoU, S-Score 180.9, 235M parameters with heads.
"""

_base_ = ['mdl-nas-b_mask_joint-3x.py']

search_cfg = dict(budget='122M', with_heads=False)
