"""CUB-200-2011 for MDL-NAS-B, whose classification gives the mean of the patches."""

_base_ = ['cub.py']

tasks = dict(cub=dict(model=dict(neck=None, head=dict(in_channels=624))))
