r"""Human poses of COCO added to MDL-NAS-B: mask sharing with the scores of classification, (S).

python tools/train.py configs/incremental/mdl-nas-b_mask-s_coco-pose.py
python tools/deposit.py add work_dirs/mdl-nas-b_mask.safetensors \
    configs/incremental/mdl-nas-b_mask-s_coco-pose.py \
    --checkpoint work_dirs/mdl-nas-b_mask-s_coco-pose/iter_61530.pth

The base is the deposit of configs/mdl_nas/mdl-nas-b_mask_searched.py.
Hardware of the paper: not given.
Expected: 73.5 AP, 39.5M parameters added (Table 8 of the paper).
"""

_base_ = ['_base_/mdl-nas-b_coco-pose.py']

base = 'work_dirs/mdl-nas-b_mask.safetensors'
