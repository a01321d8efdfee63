"""Depth of Cityscapes in metres, of its stereo pairs: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/cityscapes.py', '../_base_/cityscapes_schedule.py']

model = dict(
    type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.DepthTarget', activation='exp')
)
train_dataloader = dict(dataset=dict(label='depth'))
val_dataloader = dict(dataset=dict(label='depth'))
test_dataloader = dict(dataset=dict(label='depth'))
val_evaluator = dict(type='mdl_nas_mm.DepthErrorMetric')
test_evaluator = val_evaluator
