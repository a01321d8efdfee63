"""Saliency of PASCAL-Context: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/pascal.py', '../_base_/poly_40k.py']

model = dict(type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.SaliencyTarget'))
train_dataloader = dict(dataset=dict(label='saliency'))
val_dataloader = dict(dataset=dict(label='saliency'))
test_dataloader = dict(dataset=dict(label='saliency'))
val_evaluator = dict(type='mdl_nas_mm.SaliencyMetric')
test_evaluator = val_evaluator
