r"""CUB-200-2011 added to MDL-NAS-B: mask sharing with scores of its own, (D).

python tools/train.py configs/incremental/mdl-nas-b_mask-d_cub.py
python tools/deposit.py add work_dirs/mdl-nas-b_mask.safetensors \
    configs/incremental/mdl-nas-b_mask-d_cub.py \
    --checkpoint work_dirs/mdl-nas-b_mask-d_cub/iter_75000.pth

The base is the supernet, since a deposit has no scores; the deposit is the one of
configs/mdl_nas/mdl-nas-b_mask_searched.py, made from that supernet.
Hardware of the paper: not given.
Expected: 86.9 top-1, 38.9M parameters added (Table 7 of the paper).
"""

_base_ = ['_base_/mdl-nas-b_cub.py']

base = 'work_dirs/mdl-nas-b_mask_joint-3x/iter_263880.pth'
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-b_mask.json'
trained = 'scores'
