"""What every joint config runs with."""

default_scope = 'mdl_nas_mm'
runner_type = 'mdl_nas_mm.MultiTaskRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two, so that there is a whole one also while the next is being written.
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=2),
)
log_processor = dict(type='mdl_nas_mm.TaskLogProcessor', by_epoch=False, window_size=50)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='mmengine.LocalVisBackend')])
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
)
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
