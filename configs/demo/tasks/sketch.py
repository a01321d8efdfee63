"""Digits in dark ink on squared paper: an ordinary mmpretrain config.

mim train mmpretrain configs/demo/tasks/sketch.py
"""

_base_ = ['cls.py']

data_root = 'data/demo/sketch'
model = dict(backbone=dict(img_size=24))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
