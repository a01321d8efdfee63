r"""The architectures that the paper found for MDL-NAS-B, mask sharing (supplement, Table 1).

python tools/test.py configs/mdl_nas/mdl-nas-b_mask_searched.py \
    work_dirs/mdl-nas-b_mask_joint-3x/iter_263880.pth
python tools/train.py configs/mdl_nas/mdl-nas-b_mask_searched.py

The first evaluates them with the weights of the supernet, as the paper does; the second trains
just them jointly from the pre-trained weights, on all training images.
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16).
Expected: 82.6 top-1, 48.2 box AP, 50.1 mIoU, 235M parameters with heads (Table 4).
"""

_base_ = ['_base_/mdl-nas-b_joint.py', '_base_/joint_3x.py']

backbone = dict(sharing='Mask')
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-b_mask.json'
