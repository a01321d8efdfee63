"""Segmentation of Cityscapes, 19 classes: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/cityscapes.py', '../_base_/cityscapes_schedule.py']

model = dict(
    type='EncoderDecoder',
    decode_head=dict(
        num_classes=19, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
    ),
)
train_dataloader = dict(dataset=dict(label='semseg'))
val_dataloader = dict(dataset=dict(label='semseg'))
test_dataloader = dict(dataset=dict(label='semseg'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
