r"""The architectures that the paper found for MDL-NAS-T, mask sharing (supplement, Table 2).

python tools/test.py configs/mdl_nas/mdl-nas-t_mask_searched.py \
    work_dirs/mdl-nas-t_mask_joint-3x/iter_263880.pth
python tools/train.py configs/mdl_nas/mdl-nas-t_mask_searched.py

The first evaluates them with the weights of the supernet, as the paper does; the second trains
just them jointly from the pre-trained weights, on all training images.
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8).
Expected: 81.7 top-1, 44.9 box AP, 47.3 mIoU, 103M parameters with heads (Table 4).

The paper's Table 2 has share ratio 0.9 in stage 3 of classification, which its own space
(supplement, B) does not offer. So stage 3 has 0.9 as one more choice here; a supernet of the
paper's space still fits, as no weight depends on it.
"""

_base_ = ['_base_/mdl-nas-t_joint.py', '_base_/joint_3x.py']

backbone = dict(
    sharing='Mask',
    space=[
        dict(
            embed_dim=(96, 128),
            depth=2,
            num_heads=(2, 3),
            mlp_ratio=(2, 2.5, 3),
            attn_share_ratio=(0.5, 0.7, 0.9),
            ffn_share_ratio=(0.5, 0.7, 0.9),
            per_stage=True,
        ),
        dict(
            embed_dim=(160, 192),
            depth=2,
            num_heads=(5, 6),
            mlp_ratio=(2.5, 3, 3.5),
            attn_share_ratio=(0.5, 0.7, 0.9),
            ffn_share_ratio=(0.5, 0.7, 0.9),
            per_stage=True,
        ),
        dict(
            embed_dim=(416, 448),
            depth=(7, 8),
            num_heads=(11, 12, 13),
            mlp_ratio=(3.5, 4, 4.5),
            attn_share_ratio=(0.3, 0.5, 0.7, 0.9),
            ffn_share_ratio=(0.3, 0.5, 0.7, 0.9),
            per_stage=True,
        ),
        dict(
            embed_dim=(704, 736),
            depth=(1, 2),
            num_heads=(19, 20, 21),
            mlp_ratio=(3.5, 4, 4.5),
            attn_share_ratio=(0.1, 0.3, 0.5),
            ffn_share_ratio=(0.1, 0.3, 0.5),
            per_stage=True,
        ),
    ],
)
joint_spec = 'mdl_nas_mm::mdl_nas/archs/mdl-nas-t_mask.json'
