"""Principal curvatures of Taskonomy: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(
    target=dict(
        type='mdl_nas_mm.RegressionTarget', channels=2, loss=dict(type='mdl_nas_mm.MaskedL2Loss')
    )
)
train_dataloader = dict(dataset=dict(label='curvature'))
val_dataloader = dict(dataset=dict(label='curvature'))
test_dataloader = dict(dataset=dict(label='curvature'))
val_evaluator = [
    dict(type='mdl_nas_mm.RegressionErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=2.0),
]
test_evaluator = val_evaluator
