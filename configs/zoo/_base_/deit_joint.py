"""Three tasks for DeiT-S and DeiT-B; but for the sizes and the classifier as for MDL-NAS-B."""

_base_ = ['../../mdl_nas/_base_/mdl-nas-b_joint.py']

backbone = dict(max_relative_position=0)
tasks = dict(
    cls=dict(
        backbone=dict(out_type='cls_token'),
        # Takes back the head of MDL-NAS-B, so that DeiT's own stays.
        model=dict(head=dict(_delete_=True)),
    ),
    seg=dict(backbone=dict(out_indices=(2, 5, 8, 11))),
)
load_from = None
