"""Joint fine-tuning on three domains, then the joint search.

python tools/train.py configs/demo/demo_joint.py
"""

_base_ = ['demo_pretrain.py']

backbone = dict(sharing='Sequential')
tasks = dict(
    cls=dict(backbone=dict(out_indices=(-1,)), train_dataloader=dict(batch_size=32)),
    det=dict(
        config='mdl_nas_mm::demo/tasks/det.py',
        score='coco/bbox_mAP',
        backbone=dict(out_type='featmap', out_indices=(-1,)),
        search_dataloader=dict(
            dataset=dict(ann_file='annotations/search.json', data_prefix=dict(img='images/search/'))
        ),
        # Masks do not count for the score.
        search_evaluator=dict(ann_file='data/demo/det/annotations/search.json', metric=['bbox']),
        # Short trainings: upstream's fc_cls of std 0.01 predicts background for long.
        model=dict(
            roi_head=dict(
                bbox_head=dict(
                    init_cfg=[
                        dict(type='Normal', std=0.1, override=dict(name='fc_cls')),
                        dict(type='Normal', std=0.001, override=dict(name='fc_reg')),
                        dict(
                            type='Xavier', distribution='uniform', override=dict(name='shared_fcs')
                        ),
                    ],
                    loss_bbox=dict(loss_weight=2.0),
                )
            ),
            train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
        ),
    ),
    seg=dict(
        config='mdl_nas_mm::demo/tasks/seg.py',
        score='mIoU',
        train_dataloader=dict(batch_size=12),
        backbone=dict(out_type='featmap', out_indices=(2, 3, 4, -1)),
        search_dataloader=dict(
            dataset=dict(
                data_prefix=dict(img_path='images/search', seg_map_path='annotations/search')
            )
        ),
    ),
)
load_from = 'work_dirs/demo_pretrain/iter_450.pth'
max_iters = 800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# The decoder of segmentation, which has no pre-trained weights, is the slowest to learn.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'tasks.seg': dict(lr_mult=2.0)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=max_iters - 20),
]
search_cfg = dict(
    budget='1.55M',
    evolution=dict(population=10, generations=4, parents=4, crossovers=4, mutations=4),
)
