"""Surface normals of NYUD-v2: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/nyud.py', '../_base_/poly_40k.py']

model = dict(type='mdl_nas_mm.DenseEstimator', target=dict(type='mdl_nas_mm.NormalsTarget'))
train_dataloader = dict(dataset=dict(label='normals'))
val_dataloader = dict(dataset=dict(label='normals'))
test_dataloader = dict(dataset=dict(label='normals'))
val_evaluator = dict(type='mdl_nas_mm.NormalsMetric')
test_evaluator = val_evaluator
