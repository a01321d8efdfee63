"""What is seen in rendered rooms: an ordinary mmseg config, but for its head.

mim train mmsegmentation configs/demo/tasks/room_seg.py
"""

_base_ = ['../_base_/rooms.py']

model = dict(
    type='EncoderDecoder',
    decode_head=dict(num_classes=6, loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
)
train_dataloader = dict(dataset=dict(label='semseg'))
val_dataloader = dict(dataset=dict(label='semseg'))
test_dataloader = dict(dataset=dict(label='semseg'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
