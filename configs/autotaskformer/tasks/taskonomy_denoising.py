"""Images of Taskonomy with normal noise: an mmseg config."""

_base_ = [
    '../../scenes/_base_/taskonomy.py',
    '../../scenes/_base_/taskonomy_schedule.py',
]

model = dict(target=dict(type='mdl_nas_mm.RegressionTarget', channels=3))
_load = [
    dict(type='LoadImageFromFile'),
    dict(type='mdl_nas_mm.SceneResize', scale=(224, 224), keep_ratio=False),
]
_train = [
    *_load,
    dict(type='mdl_nas_mm.DenoiseTarget'),
    dict(type='mdl_nas_mm.PackScene'),
]
# The same noise in each evaluation.
_val = [
    *_load,
    dict(type='mdl_nas_mm.DenoiseTarget', by_image=True),
    dict(type='mdl_nas_mm.PackScene'),
]
train_dataloader = dict(dataset=dict(label='autoencoding', pipeline=_train))
val_dataloader = dict(dataset=dict(label='autoencoding', pipeline=_val))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='mdl_nas_mm.RegressionErrorMetric'),
    dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=1.0),
]
test_evaluator = val_evaluator
