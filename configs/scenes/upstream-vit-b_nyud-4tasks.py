"""Segmentation, depth, normals and edges of NYUD-v2 in one ViT-B of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-vit-b_nyud-4tasks.py

Head, optimizer, batch and references of Shoouri et al. (ICCV 2023, Table 2b); steps as in InvPT.
Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-vit-b.py',
    '_base_/nyud_vit-b_4tasks.py',
    '_base_/poly_40k.py',
]

backbone = dict(module=dict(img_size=(448, 576)))
train_cfg = dict(type='MultiTaskTrainLoop')
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
