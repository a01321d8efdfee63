r"""The base task on PASCAL-Context: segmentation, ViT-B.

    python tools/train.py configs/computation_sharing/pascal_vit-b_base.py
    python tools/deposit.py pack configs/computation_sharing/pascal_vit-b_base.py \
        --checkpoint work_dirs/pascal_vit-b_base/iter_40000.pth \
        --out work_dirs/pascal_vit-b_base.safetensors --scored

Sub-tasks: pascal_vit-b_sub-tasks.py. The paper's numbers are there. Expected: not measured.
"""

_base_ = ['_base_/vit-b.py']

backbone = dict(img_size=(512, 512))
tasks = dict(
    seg=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_seg.py',
        reference=dict(mIoU=78.24),
        model=dict(decode_head=dict(num_classes=21)),
    )
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-6))
