"""Scenes of Taskonomy, 365 classes as probabilities: an mmseg config."""

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
    target=dict(type='mdl_nas_mm.SoftLabelTarget', channels=365),
)
train_dataloader = dict(dataset=dict(label='class_scene'))
val_dataloader = dict(dataset=dict(label='class_scene'))
test_dataloader = dict(dataset=dict(label='class_scene'))
val_evaluator = dict(type='mdl_nas_mm.SoftLabelMetric')
test_evaluator = val_evaluator
