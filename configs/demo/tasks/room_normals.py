"""Which way surfaces in rendered rooms look: an mmseg config.

mim train mmsegmentation configs/demo/tasks/room_normals.py
"""

_base_ = ['../_base_/rooms.py']

model = dict(
    type='mdl_nas_mm.DenseEstimator',
    target=dict(
        type='mdl_nas_mm.NormalsTarget', loss=dict(type='mdl_nas_mm.MaskedL1Loss', loss_weight=10.0)
    ),
)
train_dataloader = dict(dataset=dict(label='normals'))
val_dataloader = dict(dataset=dict(label='normals'))
test_dataloader = dict(dataset=dict(label='normals'))
val_evaluator = dict(type='mdl_nas_mm.NormalsMetric')
test_evaluator = val_evaluator
