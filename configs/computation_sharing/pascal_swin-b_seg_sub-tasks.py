r"""Sub-tasks of segmentation on PASCAL-Context as sparse differences, Swin-B.

    python tools/share_computation.py configs/computation_sharing/pascal_swin-b_seg_sub-tasks.py

The base is the deposit of pascal_swin-b_seg_base.py. "Efficient Computation Sharing for Multi-Task
Visual Scene Understanding" (Shoouri et al., ICCV 2023): batch 6, rate 5e-5, decay 1e-6, polynomial.
Table 3, segmentation as the base: 79.1 mIoU, parsing 70.0 mIoU, saliency 84.2 maxF, normals 14.3
degrees, boundary 74.5 odsF; separate models 79.1, 71.6, 84.6, 13.5, 76.0. 149.3M parameters of
516.1M, 241.1 GFLOPs of 444.3. Lambdas were swept, 1 to 10 e-8 for weights and 1 to 10 e-10 for
activations; see README.md. Expected: not measured.
"""

_base_ = ['_base_/pascal_sub-tasks_of_seg.py']

base = 'work_dirs/pascal_swin-b_seg_base.safetensors'
inherit = 'seg'
_maps = dict(decode_head=dict(in_channels=1024))
tasks = dict(
    parts=dict(reference=dict(mIoU=71.6), model=_maps),
    saliency=dict(reference=dict(maxF_pooled=0.846), model=_maps),
    normals=dict(reference=dict(mean=13.5), model=_maps),
    edges=dict(reference=dict(odsF=0.76), model=_maps),
)
