r"""Human poses of COCO added to MDL-NAS-B: sequential sharing.

python tools/train.py configs/incremental/mdl-nas-b_seq_coco-pose.py
python tools/deposit.py add work_dirs/mdl-nas-b_seq.safetensors \
    configs/incremental/mdl-nas-b_seq_coco-pose.py \
    --checkpoint work_dirs/mdl-nas-b_seq_coco-pose/iter_61530.pth

The base is the deposit of configs/mdl_nas/mdl-nas-b_seq_searched.py.
Hardware of the paper: not given.
Expected: 74.0 AP, 39.9M parameters added (Table 8 of the paper).
"""

_base_ = ['_base_/mdl-nas-b_coco-pose.py']

base = 'work_dirs/mdl-nas-b_seq.safetensors'
