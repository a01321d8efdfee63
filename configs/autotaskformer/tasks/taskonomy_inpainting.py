"""Images of Taskonomy whose middle is painted over: an mmseg config."""

_base_ = [
    '../../scenes/_base_/taskonomy.py',
    '../../scenes/_base_/taskonomy_schedule.py',
]

model = dict(target=dict(type='mdl_nas_mm.RegressionTarget', channels=3))
_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mdl_nas_mm.SceneResize', scale=(224, 224), keep_ratio=False),
    dict(type='mdl_nas_mm.InpaintTarget'),
    dict(type='mdl_nas_mm.PackScene'),
]
_data = dict(dataset=dict(label='autoencoding', pipeline=_pipeline))
train_dataloader = _data
val_dataloader = _data
test_dataloader = _data
val_evaluator = [
    dict(type='mdl_nas_mm.RegressionErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=1.0),
]
test_evaluator = val_evaluator
