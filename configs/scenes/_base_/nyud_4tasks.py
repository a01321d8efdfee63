"""Segmentation, depth, normals and edges on the images of NYUD-v2."""

_base_ = ['nyud_3tasks.py']

tasks = dict(
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_edges.py',
        score='odsF',
        images='nyud',
        loss_weight=50.0,
    )
)
