"""Distance of Taskonomy in metres, from the camera: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(
    target=dict(
        type='mdl_nas_mm.RegressionTarget',
        channels=1,
        activation='exp',
        loss=dict(type='mdl_nas_mm.LogDepthLoss'),
    )
)
train_dataloader = dict(dataset=dict(label='depth_euclidean'))
val_dataloader = dict(dataset=dict(label='depth_euclidean'))
test_dataloader = dict(dataset=dict(label='depth_euclidean'))
val_evaluator = [
    dict(type='mdl_nas_mm.RegressionErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=10.0),
]
test_evaluator = val_evaluator
