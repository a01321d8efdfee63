"""Vanishing points of Taskonomy: three on the unit sphere: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='mdl_nas_mm.PooledMLPHead',
        in_channels=768,
        in_index=3,
        channels=512,
        align_corners=False,
    ),
    target=dict(type='mdl_nas_mm.VectorTarget', channels=9),
)
train_dataloader = dict(dataset=dict(label='vanishing_points'))
val_dataloader = dict(dataset=dict(label='vanishing_points'))
test_dataloader = dict(dataset=dict(label='vanishing_points'))
val_evaluator = dict(type='mdl_nas_mm.RegressionErrorMetric', key='point')
test_evaluator = val_evaluator
