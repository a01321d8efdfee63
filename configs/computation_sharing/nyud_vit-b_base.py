r"""The base task on NYUD-v2: segmentation, ViT-B.

    python tools/train.py configs/computation_sharing/nyud_vit-b_base.py
    python tools/deposit.py pack configs/computation_sharing/nyud_vit-b_base.py \
        --checkpoint work_dirs/nyud_vit-b_base/iter_40000.pth \
        --out work_dirs/nyud_vit-b_base.safetensors --scored

Sub-tasks: nyud_vit-b_sub-tasks.py. The paper's numbers are there. Expected: not measured.
"""

_base_ = ['_base_/vit-b.py']

backbone = dict(img_size=(448, 576))
tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_seg.py',
        train_dataloader=dict(batch_size=64),
        reference=dict(mIoU=50.48),
        model=dict(decode_head=dict(num_classes=40)),
    )
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-6))
