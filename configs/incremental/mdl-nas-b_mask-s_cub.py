r"""CUB-200-2011 added to MDL-NAS-B: mask sharing with the scores of classification, (S).

python tools/train.py configs/incremental/mdl-nas-b_mask-s_cub.py
python tools/deposit.py add work_dirs/mdl-nas-b_mask.safetensors \
    configs/incremental/mdl-nas-b_mask-s_cub.py \
    --checkpoint work_dirs/mdl-nas-b_mask-s_cub/iter_75000.pth

The base is the deposit of configs/mdl_nas/mdl-nas-b_mask_searched.py.
Hardware of the paper: not given.
Expected: 86.8 top-1, 40.1M parameters added (Table 7 of the paper).
"""

_base_ = ['_base_/mdl-nas-b_cub.py']

base = 'work_dirs/mdl-nas-b_mask.safetensors'
