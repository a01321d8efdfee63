r"""CUB-200-2011 added to MDL-NAS-T: mask sharing with scores of its own, (D).

python tools/train.py configs/incremental/mdl-nas-t_mask-d_cub.py
python tools/deposit.py add work_dirs/mdl-nas-t_mask.safetensors \
    configs/incremental/mdl-nas-t_mask-d_cub.py \
    --checkpoint work_dirs/mdl-nas-t_mask-d_cub/iter_75000.pth

The base is what configs/mdl_nas/mdl-nas-t_mask_searched.py trains, since a deposit has no scores,
and the supernet has not all share ratios of the architecture (see that config); the deposit is the
one of the same training.
Hardware of the paper: not given.
Expected: 86.6 top-1, 14.2M parameters added (Table 7 of the paper).
"""

_base_ = ['_base_/mdl-nas-t_cub.py']

base = 'work_dirs/mdl-nas-t_mask_searched/iter_263880.pth'
trained = 'scores'
