"""How far away things in rendered rooms are, in metres: an mmseg config.

mim train mmsegmentation configs/demo/tasks/room_depth.py
"""

_base_ = ['../_base_/rooms.py']

model = dict(
    type='mdl_nas_mm.DenseEstimator',
    target=dict(type='mdl_nas_mm.DepthTarget', activation='sigmoid', max_depth=10.0),
)
train_dataloader = dict(dataset=dict(label='depth'))
val_dataloader = dict(dataset=dict(label='depth'))
test_dataloader = dict(dataset=dict(label='depth'))
val_evaluator = dict(type='mdl_nas_mm.DepthErrorMetric')
test_evaluator = val_evaluator
