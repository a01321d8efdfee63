"""Depth of NYUD-v2 in metres: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/nyud.py', '../_base_/poly_40k.py']

model = dict(type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.DepthTarget'))
train_dataloader = dict(dataset=dict(label='depth'))
val_dataloader = dict(dataset=dict(label='depth'))
test_dataloader = dict(dataset=dict(label='depth'))
val_evaluator = dict(type='mdl_nas_mm.DepthErrorMetric')
test_evaluator = val_evaluator
