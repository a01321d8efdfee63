r"""The architectures that the paper found for MDL-NAS-T, sequential sharing (supplement, Table 2).

python tools/test.py configs/mdl_nas/mdl-nas-t_seq_searched.py \
    work_dirs/mdl-nas-t_seq_joint-3x/iter_263880.pth
python tools/train.py configs/mdl_nas/mdl-nas-t_seq_searched.py

The first evaluates them with the weights of the supernet, as the paper does; the second trains
just them jointly from the pre-trained weights, on all training images.
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8).
Expected: 81.7 top-1, 46.4 box AP, 46.5 mIoU, 115M parameters with heads (Table 4).

The segmentation architecture is NOT the paper's: of its column in Table 2 nothing is legible but
the width of stage 1, 96. It stands here with the largest choices of the space otherwise and share
ratio 0.5, so neither its score nor the total can be compared with the paper's.
"""

_base_ = ['_base_/mdl-nas-t_joint.py', '_base_/joint_3x.py']

backbone = dict(sharing='Sequential')
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-t_seq.json'
