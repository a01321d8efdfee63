"""Skeletons sampled uniformly in place of a Gumbel softmax, sixteen tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/ablation_uniform_taskonomy-16tasks.py

The baseline of Fig. 7, whose training losses saturate early. With the cells of Swin-T, as in
ablation_no-cells_taskonomy-16tasks.py, it is the second row of Table 5, published with 43.5 M
parameters and a Delta_T of 6.3. Afterwards tools/skeletons.py --validate. Expected: not measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

train_cfg = dict(step=dict(_delete_=True, type='UniformSkeletonStep', skeletons='single-scale'))
