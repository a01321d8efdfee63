"""Segmentation of MTAN's Cityscapes, 7 classes: an mmseg config."""

_base_ = ['../_base_/mtan_cityscapes.py', '../_base_/mtan_cityscapes_schedule.py']

model = dict(
    type='EncoderDecoder',
    decode_head=dict(num_classes=7, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
)
train_dataloader = dict(dataset=dict(label='semseg'))
val_dataloader = dict(dataset=dict(label='semseg'))
test_dataloader = dict(dataset=dict(label='semseg'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
