"""CUB-200-2011 for MDL-NAS-T."""

_base_ = ['cub.py']

tasks = dict(cub=dict(model=dict(head=dict(in_channels=736))))
