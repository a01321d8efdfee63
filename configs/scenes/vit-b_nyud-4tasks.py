"""Four tasks of NYUD-v2 in one elastic architecture up to ViT-B and one pass.

    python tools/train.py configs/scenes/vit-b_nyud-4tasks.py

Head, optimizer, batch and the references of "Efficient Computation Sharing for Multi-Task Visual
Scene Understanding" (Shoouri et al., ICCV 2023, Table 2b), whose ViT-B starts from ImageNet-22K;
steps as in InvPT. Published edges are of 99 thresholds. Expected: not measured.
"""

_base_ = ['_base_/joint_vit-b.py', '_base_/nyud_vit-b_4tasks.py', '_base_/poly_40k.py']

backbone = dict(img_size=(448, 576))
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
