r"""The paper's architectures of MDL-NAS-B, sequential sharing, propagation blocks for detection.

python tools/test.py configs/mdl_nas/mdl-nas-b_seq-conv_searched.py \
    work_dirs/mdl-nas-b_seq-conv_joint-3x/iter_263880.pth
python tools/train.py configs/mdl_nas/mdl-nas-b_seq-conv_searched.py

As mdl-nas-b_seq_searched.py, which has attention over the whole image alone. Of ViTDet's blocks
those of two 3 x 3 convolutions come nearest to the paper's 129 M parameters of detection.
Hardware of the paper: 16 V100 for each of the three tasks (16+16+16).
Expected: 82.9 top-1, 48.0 box AP, 50.8 mIoU, 256M parameters with heads (Table 4).
"""

_base_ = ['_base_/mdl-nas-b_conv.py', '_base_/joint_3x.py']

backbone = dict(sharing='Sequential')
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-b_seq.json'
