"""Key points of Taskonomy in space, as heat maps: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(target=dict(type='mdl_nas_mm.RegressionTarget', channels=1))
train_dataloader = dict(dataset=dict(label='keypoints3d'))
val_dataloader = dict(dataset=dict(label='keypoints3d'))
test_dataloader = dict(dataset=dict(label='keypoints3d'))
val_evaluator = [
    dict(type='mdl_nas_mm.RegressionErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=1.0),
]
test_evaluator = val_evaluator
