"""Skeletons are searched, the cells are those of Swin-T: sixteen tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/ablation_no-cells_taskonomy-16tasks.py

The third row of Table 5, published with 43.5 M parameters and a Delta_T of 7.1. Expected: not
measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
backbone = dict(space='swin-unet-t')
tasks = {
    name: dict(model=dict(decode_head=dict(in_channels=(96, 192, 384, 768)))) for name in _names
}
search_cfg = None
