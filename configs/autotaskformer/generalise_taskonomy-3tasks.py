"""Jigsaw, inpainting and denoising on a frozen backbone of sixteen tasks of Taskonomy.

    python tools/train.py configs/autotaskformer/generalise_taskonomy-3tasks.py

Section 4.3: heads alone are trained. Published (Table 4): 72.0 accuracy, 73.2 and 93.0 MS-SSIM.
Permutations, holes and noise are not told; here 100 permutations of 3 x 3 tiles, the middle quarter
of the image, and a standard deviation of 25 of 255. `base` is what tools/deposit.py has packed of
the searched tasks, and stays as it is: `deposit add` checks it. Each new task leaves where
`inherit` does. Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py', '../scenes/_base_/taskonomy_schedule.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

base = 'work_dirs/s_taskonomy-16tasks/tasks.safetensors'
inherit = 'autoencoding'
trained = 'head'
# Of the map where that task leaves; 128 at 1/4, 224, 416, 800 at 1/32.
_width = 128
_fcn = dict(
    _delete_=True,
    type='FCNHead',
    in_channels=_width,
    in_index=0,
    channels=256,
    num_convs=1,
    concat_input=False,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
tasks = dict(
    jigsaw=dict(
        config='mdl_nas_mm::autotaskformer/tasks/taskonomy_jigsaw.py',
        score='top1',
        model=dict(decode_head=dict(in_channels=_width, in_index=0)),
    ),
    inpainting=dict(
        config='mdl_nas_mm::autotaskformer/tasks/taskonomy_inpainting.py',
        score='ms_ssim',
        model=dict(decode_head=_fcn),
    ),
    denoising=dict(
        config='mdl_nas_mm::autotaskformer/tasks/taskonomy_denoising.py',
        score='ms_ssim',
        model=dict(decode_head=_fcn),
    ),
)
train_cfg = dict(type='MultiTaskTrainLoop')
val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4063))
