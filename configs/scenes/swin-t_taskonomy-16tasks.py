"""Sixteen tasks of Taskonomy's tiny split in one Swin-T and one pass.

    python tools/train.py configs/scenes/swin-t_taskonomy-16tasks.py

Recipe, loss weights and references of AutoTaskFormer (Table 7, Swin-T), which trains from scratch.
Its scores are of images of 224 x 224, and those of distances and segments depend on definitions
that it does not tell: for a Delta_T of all tasks train these of tasks/ alone and give their scores.
Expected: not measured.
"""

_base_ = ['_base_/joint_swin-t.py', '_base_/taskonomy_5tasks.py', '_base_/taskonomy_schedule.py']

backbone = dict(init_cfg=None)
tasks = dict(
    depth_euclidean=dict(
        config='tasks/taskonomy_depth_euclidean.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=2.0,
    ),
    curvature=dict(
        config='tasks/taskonomy_curvature.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=0.5,
        reference=dict(ms_ssim=0.673),
    ),
    reshading=dict(
        config='tasks/taskonomy_reshading.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=20.0,
        reference=dict(ms_ssim=0.687),
    ),
    keypoints3d=dict(
        config='tasks/taskonomy_keypoints3d.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=10.0,
        reference=dict(ms_ssim=0.564),
    ),
    edges3d=dict(
        config='tasks/taskonomy_edges3d.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=10.0,
        reference=dict(ms_ssim=0.73),
    ),
    autoencoding=dict(
        config='tasks/taskonomy_autoencoding.py',
        score='ms_ssim',
        images='taskonomy',
        loss_weight=0.1,
        reference=dict(ms_ssim=0.96),
    ),
    segment_unsup2d=dict(
        config='tasks/taskonomy_segment_unsup2d.py',
        score=dict(metric='loss', scale=100.0),
        images='taskonomy',
    ),
    segment_unsup25d=dict(
        config='tasks/taskonomy_segment_unsup25d.py',
        score=dict(metric='loss', scale=100.0),
        images='taskonomy',
    ),
    class_object=dict(
        config='tasks/taskonomy_class_object.py',
        score='top1',
        images='taskonomy',
        loss_weight=2.0,
        reference=dict(top1=47.9),
    ),
    class_scene=dict(
        config='tasks/taskonomy_class_scene.py',
        score='top1',
        images='taskonomy',
        loss_weight=2.0,
        reference=dict(top1=60.3),
    ),
    # The paper shows this loss times 100.
    vanishing_points=dict(
        config='tasks/taskonomy_vanishing_points.py',
        score=dict(metric='l2', scale=1000.0),
        images='taskonomy',
        loss_weight=5.0,
        reference=dict(l2=0.01567),
    ),
)
train_cfg = dict(type='MultiTaskTrainLoop')
