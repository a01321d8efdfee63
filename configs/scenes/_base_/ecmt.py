"""ECMT: every step trains the largest, the smallest and two random subnets, the others with CI-KD.

A tenth of the training images is set aside for the predictor, as ECMT has it. `mdl-nas hold-out`
writes the lists.
"""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

recalibrate_images = 256
train_cfg = dict(
    type='MultiTaskTrainLoop',
    sampler=dict(type='LargestFirstSampler', models=4),
    step=dict(type='ECMTStep'),
)
val_cfg = dict(type='MultiTaskValLoop')
# The paper's decay is 1e-4. Adam adds it to the gradients, which are means here, where the paper
# adds up: over the four models of a step and, in the backbone, over tasks. So it is divided alike.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4 / 4)
)
