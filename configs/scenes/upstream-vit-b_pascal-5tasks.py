"""Five tasks of PASCAL-Context in one ViT-B of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-vit-b_pascal-5tasks.py

Head, optimizer, batch and references of Shoouri et al. (ICCV 2023, Table 2a); steps as in InvPT.
Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-vit-b.py',
    '_base_/pascal_vit-b_5tasks.py',
    '_base_/poly_40k.py',
]

backbone = dict(module=dict(img_size=(512, 512)))
train_cfg = dict(type='MultiTaskTrainLoop')
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-5))
