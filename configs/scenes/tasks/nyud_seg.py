"""Segmentation of NYUD-v2, 40 classes: an mmseg config."""

_base_ = ['../_base_/swin-t.py', '../_base_/nyud.py', '../_base_/poly_40k.py']

model = dict(
    type='EncoderDecoder',
    decode_head=dict(
        num_classes=40, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
    ),
)
train_dataloader = dict(dataset=dict(label='semseg'))
val_dataloader = dict(dataset=dict(label='semseg'))
test_dataloader = dict(dataset=dict(label='semseg'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], nan_to_num=0)
test_evaluator = val_evaluator
