"""Surface normals of Taskonomy: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(target=dict(type='mdl_nas_mm.NormalsTarget'))
train_dataloader = dict(dataset=dict(label='normals'))
val_dataloader = dict(dataset=dict(label='normals'))
test_dataloader = dict(dataset=dict(label='normals'))
val_evaluator = [
    dict(type='mdl_nas_mm.NormalsMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=2.0, key='normals'),
]
test_evaluator = val_evaluator
