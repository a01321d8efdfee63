"""ViT-B/16 whose blocks a task owns, from ImageNet-22K; segmentation with the head of the paper.

The weights are mmpretrain's, which were fine-tuned on ImageNet-1K after ImageNet-22K; the paper
does not say which it takes.
"""

_base_ = ['base_task.py']

weights = 'https://download.openmmlab.com/mmclassification/v0/vit/finetune/vit-base-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-98e8652b.pth'
backbone = dict(
    type='ElasticViT',
    space='deit-b',
    sharing=dict(attn='AllSpecific', ffn='AllSpecific'),
    patch_size=16,
    max_relative_position=0,
    out_type='featmap',
    out_indices=(-1,),
    init_cfg=dict(type='Pretrained', checkpoint=weights),
)
tasks = dict(
    seg=dict(
        score='mIoU',
        model=dict(
            decode_head=dict(
                _delete_=True,
                type='mdl_nas_mm.ConvNeXtHead',
                in_channels=768,
                in_index=0,
                channels=3072,
                align_corners=False,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
    )
)
