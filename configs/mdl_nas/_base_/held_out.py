"""Training images set aside: a search scores on them, and its supernet is not trained on them.

python tools/hold_out.py configs/mdl_nas/mdl-nas-t_seq_joint-1x.py

writes the files below, once for all configs that use them. A config takes `held_out` as a change
to its `tasks`; without that line it trains on all images, and a search in it scores on the
validation sets.
"""

held_out_images = dict(cls=10_000, det=5_000, seg=500)
held_out = dict(
    cls=dict(
        train_dataloader=dict(dataset=dict(ann_file='meta/train_rest.txt')),
        search_dataloader=dict(dataset=dict(split='train', ann_file='meta/train_search.txt')),
    ),
    det=dict(
        train_dataloader=dict(dataset=dict(ann_file='annotations/instances_train2017_rest.json')),
        search_dataloader=dict(
            dataset=dict(
                ann_file='annotations/instances_train2017_search.json',
                data_prefix=dict(img='train2017/'),
            )
        ),
        search_evaluator=dict(ann_file='data/coco/annotations/instances_train2017_search.json'),
    ),
    seg=dict(
        train_dataloader=dict(dataset=dict(ann_file='training_rest.txt')),
        search_dataloader=dict(
            dataset=dict(
                ann_file='training_search.txt',
                data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
            )
        ),
    ),
)
