"""Sixteen tasks of Taskonomy with 24 multi-scale skeletons each.

    python tools/train.py configs/autotaskformer/s_taskonomy-16tasks_multi-scale.py

The paper names this space of 24^16 skeletons and gives no number of it. Maps are predicted by
SegFormer's head, points by a pooled MLP of all four maps. Expected: not measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
backbone = dict(skeletons='multi-scale')
_segformer = dict(
    _delete_=True,
    type='SegformerHead',
    channels=256,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_pooled = dict(input_transform='resize_concat')
_semseg = dict(
    **_segformer, num_classes=17, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
)
_heads = dict(class_object=_pooled, class_scene=_pooled, vanishing_points=_pooled, semseg=_semseg)
tasks = {
    name: dict(
        model=dict(decode_head=dict(skeletons='multi-scale', head=_heads.get(name, _segformer)))
    )
    for name in _names
}
train_cfg = dict(step=dict(skeletons='multi-scale'))
