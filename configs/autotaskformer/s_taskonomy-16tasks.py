"""AutoTaskFormer of 22.3 to 62.2 M parameters on sixteen tasks of Taskonomy, ten skeletons each.

    python tools/train.py configs/autotaskformer/s_taskonomy-16tasks.py

Then docs/autotaskformer.md: tools/skeletons.py and tools/search.py. Settings of Appendix B.1: tiny
split, 224 x 224 without augmentation, 30 epochs of batches of 64, one of them warm-up, AdamW 5e-4
to 5e-6 by cosine, decay 0.05. Published (Table 1): Delta_T 8.4 with 45.5 M parameters, 8.9 with
52.2 M. Expected: not measured.
"""

_base_ = [
    '_base_/supernet.py',
    '_base_/taskonomy_16tasks.py',
    '../scenes/_base_/taskonomy_schedule.py',
]

train_cfg = dict(
    type='MultiTaskTrainLoop',
    step=dict(
        type='AutoTaskFormerStep',
        skeletons='single-scale',
        temperature=dict(steps={{_base_.max_iters}}),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)),
    ),
)
