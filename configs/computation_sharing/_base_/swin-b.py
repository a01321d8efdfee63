"""Swin-B whose blocks a task owns, from ImageNet-22K; the last map goes to the head.

The paper does not say which maps its head takes of Swin.
"""

_base_ = ['base_task.py']

weights = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_base_patch4_window12_384_22k_20220317-e5c09f74.pth'
backbone = dict(
    type='ElasticSwin',
    space='swin-b',
    sharing=dict(attn='AllSpecific', ffn='AllSpecific'),
    window_size=12,
    out_indices=(3,),
    pad_small_map=True,
    init_cfg=dict(type='Pretrained', checkpoint=weights),
)
