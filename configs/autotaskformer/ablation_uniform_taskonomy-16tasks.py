"""Skeletons sampled uniformly in place of a Gumbel softmax, sixteen tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/ablation_uniform_taskonomy-16tasks.py

The baseline of Fig. 7, whose training losses saturate early. Afterwards tools/skeletons.py
--validate. Expected: not measured.
"""

_base_ = ['s_taskonomy-16tasks.py']

train_cfg = dict(step=dict(_delete_=True, type='UniformSkeletonStep', skeletons='single-scale'))
