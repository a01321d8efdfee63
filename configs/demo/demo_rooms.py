"""Four dense tasks on the same images of rooms, one backbone pass for all; then the search.

python tools/train.py configs/demo/demo_rooms.py
"""

_base_ = ['../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

backbone = dict(
    type='ElasticViT',
    space=dict(
        embed_dim=(64, 96),
        depth=(4, 5),
        num_heads=3,
        mlp_ratio=(2, 3),
        share_ratio=1.0,
        per_stage=True,
    ),
    sharing='AllShared',
    img_size=(96, 128),
    patch_size=8,
    head_dim=32,
    class_token=False,
    max_relative_position=0,
    position_std=0.5,
    out_type='featmap',
    out_indices=(-1,),
)
_search = dict(dataset=dict(ann_file='gt_sets/search.txt'))
# The weights of the losses bring the tasks' gradients to about one size: with the sizes that their
# own configs have, normals and edges drown the classes.
tasks = dict(
    seg=dict(
        config='mdl_nas_mm::demo/tasks/room_seg.py',
        score='mIoU',
        loss_weight=3.0,
        images='rooms',
        search_dataloader=_search,
    ),
    depth=dict(
        config='mdl_nas_mm::demo/tasks/room_depth.py',
        score=dict(metric='rmse', scale=1.0),
        loss_weight=0.5,
        # Ten centimetres count as much as three points of mIoU or three degrees.
        score_weight=30.0,
        images='rooms',
        search_dataloader=_search,
    ),
    normals=dict(
        config='mdl_nas_mm::demo/tasks/room_normals.py',
        score=dict(metric='mean', scale=1.0),
        loss_weight=0.4,
        images='rooms',
        search_dataloader=_search,
    ),
    edges=dict(
        config='mdl_nas_mm::demo/tasks/room_edges.py',
        score='odsF',
        loss_weight=1.5,
        images='rooms',
        search_dataloader=_search,
    ),
)
max_iters = 600
train_cfg = dict(
    type='MultiTaskTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters,
    sampler=dict(type='SandwichSampler', num_random=0),
)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, T_max=max_iters - 30),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
search_cfg = dict(
    budget='0.45M',
    evolution=dict(population=6, generations=1, parents=2, crossovers=2, mutations=2),
)
