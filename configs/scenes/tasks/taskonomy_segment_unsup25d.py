"""Segments of the image and its depth in Taskonomy, as an embedding: an mmseg config."""

_base_ = ['../_base_/taskonomy.py', '../_base_/taskonomy_schedule.py']

model = dict(target=dict(type='mdl_nas_mm.EmbeddingTarget', channels=64))
train_dataloader = dict(dataset=dict(label='segment_unsup25d'))
val_dataloader = dict(dataset=dict(label='segment_unsup25d'))
test_dataloader = dict(dataset=dict(label='segment_unsup25d'))
val_evaluator = dict(type='mdl_nas_mm.EmbeddingMetric')
test_evaluator = val_evaluator
