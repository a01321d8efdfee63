"""Swin-Unet for sixteen tasks of Taskonomy: all leave the deepest decoder, one architecture.

    python tools/train.py configs/autotaskformer/ablation_swin-unet_taskonomy-16tasks.py

The first row of Table 5, published with 41.0 M parameters and a Delta_T of 4.4: no skeletons, no
search of them, no cell space. Expected: not measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
backbone = dict(space='swin-unet-t', skeletons=['d4.1'])
_head = dict(skeletons=['d4.1'], in_channels=(96, 192, 384, 768))
tasks = {name: dict(model=dict(decode_head=_head)) for name in _names}
train_cfg = dict(step=dict(_delete_=True, type='JointStep'))
search_cfg = None
