"""Which of 100 permutations the 3 x 3 tiles of an image of Taskonomy are in: an mmseg config."""

_base_ = [
    '../../scenes/_base_/taskonomy.py',
    '../../scenes/_base_/taskonomy_schedule.py',
]

model = dict(
    decode_head=dict(
        _delete_=True,
        type='mdl_nas_mm.PooledMLPHead',
        in_channels=768,
        in_index=3,
        channels=512,
        align_corners=False,
    ),
    target=dict(type='mdl_nas_mm.SoftLabelTarget', channels=100),
)
_load = [
    dict(type='LoadImageFromFile'),
    dict(type='mdl_nas_mm.SceneResize', scale=(222, 222), keep_ratio=False),
]
_train = [
    *_load,
    dict(type='mdl_nas_mm.JigsawTarget', grid=3, num_permutations=100),
    dict(type='mdl_nas_mm.PackScene'),
]
# The same permutations in each evaluation.
_val = [
    *_load,
    dict(type='mdl_nas_mm.JigsawTarget', grid=3, num_permutations=100, by_image=True),
    dict(type='mdl_nas_mm.PackScene'),
]
train_dataloader = dict(dataset=dict(label='autoencoding', pipeline=_train))
val_dataloader = dict(dataset=dict(label='autoencoding', pipeline=_val))
test_dataloader = val_dataloader
val_evaluator = dict(type='mdl_nas_mm.SoftLabelMetric')
test_evaluator = val_evaluator
