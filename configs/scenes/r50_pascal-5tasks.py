"""Five tasks of PASCAL-Context in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_pascal-5tasks.py

Heads are DeepLabV3's; loss weights of ATRC and InvPT, schedule of InvPT with the learning rate of
the multi-task survey (Vandenhende et al., 2021). Expected: not measured.
"""

_base_ = ['_base_/joint_r50.py', '_base_/pascal_5tasks.py', '_base_/poly_40k.py']

_names = ('seg', 'parts', 'saliency', 'normals', 'edges')
_head = dict(type='ASPPHead', in_channels=2048, in_index=0, dilations=(1, 12, 24, 36))
# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
tasks = {name: dict(model=dict(decode_head=_head)) for name in _names}
train_cfg = dict(type='MultiTaskTrainLoop')
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=1e-4))
default_hooks = dict(checkpoint=dict(interval=4000))
