"""Depth of Taskonomy in metres, along the optical axis: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(
    target=dict(
        type='mdl_nas_mm.DepthTarget', activation='exp', loss=dict(type='mdl_nas_mm.LogDepthLoss')
    )
)
train_dataloader = dict(dataset=dict(label='depth'))
val_dataloader = dict(dataset=dict(label='depth'))
test_dataloader = dict(dataset=dict(label='depth'))
val_evaluator = [
    dict(type='mdl_nas_mm.DepthErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=10.0, key='depth_map'),
]
test_evaluator = val_evaluator
