"""Joint fine-tuning on three domains, then the joint search.

python tools/train.py configs/demo/demo_joint.py
"""

_base_ = ['demo_pretrain.py']

backbone = dict(sharing='Sequential')
tasks = dict(
    cls=dict(backbone=dict(out_indices=(-1,))),
    det=dict(
        config='tasks/det.py',
        score='coco/bbox_mAP',
        backbone=dict(out_type='featmap', out_indices=(-1,)),
        search_dataloader=dict(
            dataset=dict(ann_file='annotations/search.json', data_prefix=dict(img='images/search/'))
        ),
        search_evaluator=dict(ann_file='data/demo/det/annotations/search.json'),
    ),
    seg=dict(
        config='tasks/seg.py',
        score='mIoU',
        backbone=dict(out_type='featmap', out_indices=(2, 3, 4, -1)),
        search_dataloader=dict(
            dataset=dict(
                data_prefix=dict(img_path='images/search', seg_map_path='annotations/search')
            )
        ),
    ),
)
load_from = 'work_dirs/demo_pretrain/iter_300.pth'
max_iters = 660
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=max_iters - 20),
]
search_cfg = dict(
    budget='1.55M',
    evolution=dict(population=10, generations=4, parents=4, crossovers=4, mutations=4),
)
