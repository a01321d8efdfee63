"""Segmentation, depth and normals of NYUD-v2 from a backbone of Taskonomy, which is trained on.

    python tools/train.py configs/autotaskformer/transfer_nyud-3tasks.py

Section 4.3 and Appendix B.3: new heads, 40 classes, crops of 224 x 224, 50 epochs of 795 images in
batches of 8, AdamW 5e-4 to 5e-6 by cosine, losses count 1, 3 and 20. Published (Table 3), 35.3 M
parameters: 33.2 mIoU, 64.4 pixel accuracy, a mean error of 10.0 degrees, 69.4, 88.3 and 93.7 within
11.25, 22.5 and 30, depth of 88.0 MS-SSIM. That is of centre crops, this of whole images.
`base` is what tools/deposit.py has packed of the searched tasks; all leave where its `normals`
does. Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

base = 'work_dirs/s_taskonomy-16tasks/tasks.safetensors'
inherit = 'normals'
trained = 'all'
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
_seg = dict(**_fcn, num_classes=40, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
_size = (224, 224)
_load = [dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')]
_resize = dict(type='mdl_nas_mm.SceneResize', scale=(10000, 256), keep_ratio=True)
_train = dict(
    dataset=dict(
        pipeline=[
            *_load,
            _resize,
            dict(type='RandomCrop', crop_size=_size),
            dict(type='RandomFlip', prob=0.5),
            dict(type='mdl_nas_mm.PackScene'),
        ]
    )
)
_val = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            _resize,
            dict(type='mdl_nas_mm.LoadSceneLabel'),
            dict(type='mdl_nas_mm.PackScene'),
        ]
    )
)
_model = dict(
    data_preprocessor=dict(
        type='mdl_nas_mm.ScenePreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=_size,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=32),
    )
)
tasks = dict(
    nyud_seg=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_seg.py',
        score='mIoU',
        images='nyud',
        model=dict(_model, decode_head=_seg),
        train_dataloader=_train,
        val_dataloader=_val,
    ),
    nyud_depth=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_depth.py',
        score='ms_ssim',
        images='nyud',
        loss_weight=3.0,
        model=dict(_model, decode_head=_fcn),
        train_dataloader=_train,
        val_dataloader=_val,
        val_evaluator=[
            dict(type='mdl_nas_mm.DepthErrorMetric'),
            dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=10.0, key='depth_map'),
        ],
    ),
    nyud_normals=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_normals.py',
        score=dict(metric='mean', scale=1.0),
        images='nyud',
        loss_weight=20.0,
        model=dict(_model, decode_head=_fcn),
        train_dataloader=_train,
        val_dataloader=_val,
    ),
)
max_iters = 4969
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=994)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=5e-6)]
default_hooks = dict(checkpoint=dict(interval=994))
