"""Three stages of a sub-task: gates, places, activations.

The rate of gates (0.1) and lambda_w are those of the published code. The paper does not say how
many steps a stage has. Its L1 is a sum over a batch, here it is a mean over images: coefficients
are lambda_a1 times the batch.
"""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4000))

_differences = dict(
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-6),
    paramwise_cfg=dict(custom_keys=dict(gates=dict(lr_mult=1000.0, decay_mult=0.0))),
)
_loop = dict(type='MultiTaskTrainLoop', val_interval=4000)
_poly = dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0.0)
_40k, _20k, _8k = ([dict(_poly, end=steps)] for steps in (40000, 20000, 8000))

computation_sharing = dict(
    gates=dict(
        train_cfg=dict(
            _loop,
            max_iters=40000,
            step=dict(
                type='GatedDifference',
                lambda_w=2.5e-8,
                optim_wrapper=_differences,
                param_scheduler=_40k,
            ),
        ),
        param_scheduler=_40k,
    ),
    places=dict(
        train_cfg=dict(
            _loop,
            max_iters=8000,
            step=dict(type='FixedDifference', optim_wrapper=_differences, param_scheduler=_8k),
        ),
        param_scheduler=_8k,
    ),
    activations=dict(
        train_cfg=dict(
            _loop,
            max_iters=20000,
            step=dict(type='FixedDifference', optim_wrapper=_differences, param_scheduler=_20k),
        ),
        param_scheduler=_20k,
    ),
)
