"""Skeletons sampled uniformly, the cells are those of Swin-T: sixteen tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/ablation_uniform_no-cells_taskonomy-16tasks.py

The second row of Table 5, published with 43.5 M parameters and a Delta_T of 6.3: a space of
skeletons, no search of them along with the training, no cell space. Afterwards tools/skeletons.py
--validate. Expected: not measured.
"""

_base_ = ['ablation_no-cells_taskonomy-16tasks.py']

train_cfg = dict(step=dict(_delete_=True, type='UniformSkeletonStep', skeletons='single-scale'))
