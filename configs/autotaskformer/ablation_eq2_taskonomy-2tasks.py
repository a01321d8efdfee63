"""Weights shared over all skeletons as in single-task search (Eq. 2), auto-encoding and edges.

    python tools/train.py configs/autotaskformer/ablation_eq2_taskonomy-2tasks.py

Fig. 3 (a, b): the scores of these two tasks fall as more tasks are trained, 4 and 8 in the configs
of these numbers, 16 in ablation_uniform_taskonomy-16tasks.py; with s_taskonomy-16tasks.py, Eq. 3,
they do not. Expected: not measured.
"""

_base_ = ['_base_/supernet.py', '../scenes/_base_/taskonomy_schedule.py']

_fcn = dict(
    type='FCNHead',
    channels=256,
    num_convs=1,
    concat_input=False,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_heads = dict(
    decode_head=dict(
        _delete_=True,
        type='mdl_nas_mm.SkeletonHeads',
        in_channels=(128, 224, 416, 800),
        head=_fcn,
    )
)
tasks = dict(
    autoencoding=dict(
        config='mdl_nas_mm::scenes/tasks/taskonomy_autoencoding.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=0.1,
        reference=dict(ms_ssim=0.96),
        model=_heads,
    ),
    edges2d=dict(
        config='mdl_nas_mm::scenes/tasks/taskonomy_edges2d.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=30.0,
        reference=dict(ms_ssim=0.945),
        model=_heads,
    ),
)
train_cfg = dict(
    type='MultiTaskTrainLoop',
    step=dict(type='UniformSkeletonStep', skeletons='single-scale'),
)
