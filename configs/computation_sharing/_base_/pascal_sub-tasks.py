"""What sub-tasks on PASCAL-Context have in common, whatever the backbone and the base task are.

The paper's batch is 6, its rate 5e-5.
"""

_base_ = ['sub-tasks.py']

_head = dict(
    _delete_=True,
    type='mdl_nas_mm.ConvNeXtHead',
    in_index=0,
    channels=1536,
    align_corners=False,
)
tasks = dict(
    saliency=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_saliency.py',
        score='maxF_pooled',
        loss_weight=5.0,
        model=dict(decode_head=_head),
    ),
    normals=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_normals.py',
        score=dict(metric='mean', scale=1.0),
        loss_weight=10.0,
        model=dict(decode_head=_head),
    ),
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/pascal_edges.py',
        score='odsF',
        loss_weight=50.0,
        model=dict(decode_head=_head),
    ),
)
_rate = dict(
    optimizer=dict(lr=5e-5), paramwise_cfg=dict(custom_keys=dict(gates=dict(lr_mult=2000.0)))
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-6))
computation_sharing = dict(
    gates=dict(train_cfg=dict(step=dict(optim_wrapper=_rate))),
    places=dict(train_cfg=dict(step=dict(optim_wrapper=_rate))),
    # lambda_a1 = 2.5e-10, times the batch.
    activations=dict(
        train_cfg=dict(step=dict(activations=dict(coefficient=6 * 2.5e-10), optim_wrapper=_rate))
    ),
)
