r"""Human poses of COCO added to MDL-NAS-B: mask sharing with scores of its own, (D).

python tools/train.py configs/incremental/mdl-nas-b_mask-d_coco-pose.py
python tools/deposit.py add work_dirs/mdl-nas-b_mask.safetensors \
    configs/incremental/mdl-nas-b_mask-d_coco-pose.py \
    --checkpoint work_dirs/mdl-nas-b_mask-d_coco-pose/iter_61530.pth

The base is the supernet, since a deposit has no scores; the deposit is the one of
configs/mdl_nas/mdl-nas-b_mask_searched.py, made from that supernet.
Hardware of the paper: not given.
Expected: 73.6 AP, 43.7M parameters added (Table 8 of the paper).
"""

_base_ = ['_base_/mdl-nas-b_coco-pose.py']

base = 'work_dirs/mdl-nas-b_mask_joint-3x/iter_263880.pth'
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-b_mask.json'
trained = 'scores'
