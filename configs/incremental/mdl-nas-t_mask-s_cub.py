r"""CUB-200-2011 added to MDL-NAS-T: mask sharing with the scores of classification, (S).

python tools/train.py configs/incremental/mdl-nas-t_mask-s_cub.py
python tools/deposit.py add work_dirs/mdl-nas-t_mask.safetensors \
    configs/incremental/mdl-nas-t_mask-s_cub.py \
    --checkpoint work_dirs/mdl-nas-t_mask-s_cub/iter_75000.pth

The base is the deposit of configs/mdl_nas/mdl-nas-t_mask_searched.py.
Hardware of the paper: not given.
Expected: 85.4 top-1, 7.6M parameters added (Table 7 of the paper).
"""

_base_ = ['_base_/mdl-nas-t_cub.py']

base = 'work_dirs/mdl-nas-t_mask.safetensors'
