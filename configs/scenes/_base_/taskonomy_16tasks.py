"""All sixteen tasks on the images of Taskonomy.

Weights of losses and single scores of AutoTaskFormer, whose scores are of images of 224 x 224.
Those of distances and segments depend on definitions that it does not tell.
"""

_base_ = ['taskonomy_5tasks.py']

_unsupervised = dict(score=dict(metric='loss', scale=100.0))
_others = dict(
    depth_euclidean=dict(score='ms_ssim', loss_weight=2.0),
    curvature=dict(score='ms_ssim', loss_weight=0.5, reference=dict(ms_ssim=0.673)),
    reshading=dict(score='ms_ssim', loss_weight=20.0, reference=dict(ms_ssim=0.687)),
    keypoints3d=dict(score='ms_ssim', loss_weight=10.0, reference=dict(ms_ssim=0.564)),
    edges3d=dict(score='ms_ssim', loss_weight=10.0, reference=dict(ms_ssim=0.73)),
    autoencoding=dict(score='ms_ssim', loss_weight=0.1, reference=dict(ms_ssim=0.96)),
    segment_unsup2d=_unsupervised,
    segment_unsup25d=_unsupervised,
    class_object=dict(score='top1', loss_weight=2.0, reference=dict(top1=47.9)),
    class_scene=dict(score='top1', loss_weight=2.0, reference=dict(top1=60.3)),
    # The paper shows this loss times 100.
    vanishing_points=dict(
        score=dict(metric='l2', scale=1000.0), loss_weight=5.0, reference=dict(l2=0.01567)
    ),
)
tasks = {
    name: dict(
        config=f'mdl_nas_mm::scenes/tasks/taskonomy_{name}.py', images='taskonomy', **settings
    )
    for name, settings in _others.items()
}
