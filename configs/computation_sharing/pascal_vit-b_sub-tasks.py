r"""Sub-tasks of segmentation on PASCAL-Context as sparse differences, ViT-B.

    python tools/share_computation.py configs/computation_sharing/pascal_vit-b_sub-tasks.py

The base is the deposit of pascal_vit-b_base.py. "Efficient Computation Sharing for Multi-Task
Visual Scene Understanding" (Shoouri et al., ICCV 2023): batch 6, rate 5e-5, decay 1e-6, polynomial.
Table 2a: semantic segmentation 78.24 mIoU, human parsing 71.71 mIoU, saliency 85.28 maxF, normals
13.65 degrees, boundary 78.6 odsF; with weights alone shared 78.24, 73.16, 85.42, 13.34, 79.9;
separate models 78.24, 73.85, 85.33, 13.32, 79.9. 114.02M parameters of 438.02M, 482 MB of 1776,
295.84 GFLOPs of 585.15: the base task 120.53, a sub-task 43.76 of 116.15. Lambdas were swept, 1 to
10 e-8 for weights and 1 to 10 e-10 for activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/pascal_sub-tasks_of_seg.py']

base = 'work_dirs/pascal_vit-b_base.safetensors'
inherit = 'seg'
_maps = dict(decode_head=dict(in_channels=768))
tasks = dict(
    parts=dict(reference=dict(mIoU=73.85), model=_maps),
    saliency=dict(reference=dict(maxF_pooled=0.8533), model=_maps),
    normals=dict(reference=dict(mean=13.32), model=_maps),
    edges=dict(reference=dict(odsF=0.799), model=_maps),
)
