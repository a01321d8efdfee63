"""Weights shared over all skeletons as in single-task search (Eq. 2), eight tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/ablation_eq2_taskonomy-8tasks.py

Fig. 3 (a, b) between ablation_eq2_taskonomy-2tasks.py and the sixteen tasks of
ablation_uniform_taskonomy-16tasks.py; the paper does not tell which tasks come next. Expected: not
measured.
"""

_base_ = ['ablation_uniform_taskonomy-16tasks.py']

tasks = dict(
    _delete_=True,
    autoencoding={{_base_.tasks.autoencoding}},
    edges2d={{_base_.tasks.edges2d}},
    depth={{_base_.tasks.depth}},
    normals={{_base_.tasks.normals}},
    semseg={{_base_.tasks.semseg}},
    keypoints2d={{_base_.tasks.keypoints2d}},
    reshading={{_base_.tasks.reshading}},
    curvature={{_base_.tasks.curvature}},
)
