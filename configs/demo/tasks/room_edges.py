"""Where one thing ends and another begins in rendered rooms: an mmseg config.

mim train mmsegmentation configs/demo/tasks/room_edges.py
"""

_base_ = ['../_base_/rooms.py']

model = dict(
    type='mdl_nas_mm.DenseEstimator',
    target=dict(
        type='mdl_nas_mm.EdgesTarget',
        loss=dict(type='mdl_nas_mm.BalancedBCELoss', loss_weight=50.0),
    ),
)
train_dataloader = dict(dataset=dict(label='edges'))
val_dataloader = dict(dataset=dict(label='edges'))
test_dataloader = dict(dataset=dict(label='edges'))
val_evaluator = dict(type='mdl_nas_mm.EdgeMetric', max_distance=0.011, thresholds=9)
test_evaluator = val_evaluator
