"""The baseline AutoFormer on sixteen tasks of Taskonomy: our ElasticViT, which is searched as one.

    python tools/train.py configs/scenes/autoformer-s_taskonomy-16tasks.py

Published (Table 1 of AutoTaskFormer): a Delta_T of 3.4 with 38.6 M parameters, 4.2 with 56.6 M, 4.4
with 67.6 M. All tasks have the map of 1/16 behind the last block. Expected: not measured.
"""

_base_ = ['swin-t_taskonomy-16tasks.py']

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
backbone = dict(
    _delete_=True,
    type='ElasticViT',
    space='autoformer-s',
    sharing='AllShared',
    img_size=224,
    patch_size=16,
    out_type='featmap',
    out_indices=(-1,),
)
tasks = {name: dict(model=dict(decode_head=dict(in_channels=448, in_index=0))) for name in _names}
