"""Images of Taskonomy whose middle is painted over, in place of the noise: an mmseg config."""

_base_ = ['taskonomy_denoising.py']

_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mdl_nas_mm.SceneResize', scale=(224, 224), keep_ratio=False),
    dict(type='mdl_nas_mm.InpaintTarget'),
    dict(type='mdl_nas_mm.PackScene'),
]
_data = dict(dataset=dict(pipeline=_pipeline))
train_dataloader = _data
val_dataloader = _data
test_dataloader = _data
