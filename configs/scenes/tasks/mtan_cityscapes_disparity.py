"""Disparity of MTAN's Cityscapes, what its papers call depth: an mmseg config."""

_base_ = ['../_base_/mtan_cityscapes.py', '../_base_/mtan_cityscapes_schedule.py']

model = dict(type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.DepthTarget'))
train_dataloader = dict(dataset=dict(label='disparity'))
val_dataloader = dict(dataset=dict(label='disparity'))
test_dataloader = dict(dataset=dict(label='disparity'))
val_evaluator = dict(type='mdl_nas_mm.DepthErrorMetric')
test_evaluator = val_evaluator
