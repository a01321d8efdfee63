"""How a base task is trained. The paper does not say for how many steps."""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

max_iters = 40000
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=4000)
val_cfg = dict(type='MultiTaskValLoop')
param_scheduler = [dict(type='PolyLR', by_epoch=False, end=max_iters, power=0.9, eta_min=0.0)]
default_hooks = dict(checkpoint=dict(interval=4000))
