"""Edges of PASCAL-Context: an mmseg config. Published scores have 99 thresholds."""

_base_ = ['../_base_/swin-t.py', '../_base_/pascal.py', '../_base_/poly_40k.py']

model = dict(type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.EdgesTarget'))
train_dataloader = dict(dataset=dict(label='edges'))
val_dataloader = dict(dataset=dict(label='edges'))
test_dataloader = dict(dataset=dict(label='edges'))
val_evaluator = dict(type='mdl_nas_mm.EdgeMetric', max_distance=0.0075, thresholds=9)
test_evaluator = val_evaluator
