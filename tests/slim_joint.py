"""A joint config of two tiny tasks with a slimmable encoder and slimmable decoders."""

from helpers import joint_config, only

SPACE = dict(width_ratio=(0.5, 0.75, 1.0))
CHANNELS = 64


def slim_config(data, folder):
    """Two tiny tasks, four steps, with batch norms that are estimated for each architecture."""
    cfg = only(joint_config(data), 'cls', 'seg')
    cfg.backbone = dict(
        type='ElasticResNet', depth=18, space=SPACE, base_channels=8, stem_channels=8
    )
    cfg.tasks.cls.backbone = dict(out_indices=(3,))
    cfg.tasks.seg.backbone = dict(out_indices=(2, 3))
    cfg.tasks.cls.model.neck = dict(type='GlobalAveragePooling')
    cfg.tasks.cls.model.head.in_channels = CHANNELS
    cfg.tasks.cls.model.head.update(type='mdl_nas_mm.ElasticLinearClsHead', space=SPACE)
    cfg.tasks.seg.model.decode_head = dict(
        _delete_=True,
        type='mdl_nas_mm.ElasticASPPHead',
        space=SPACE,
        in_channels=CHANNELS,
        in_index=-1,
        channels=8,
        dilations=(1, 2),
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    cfg.recalibrate_images = 4
    cfg.train_cfg.update(max_iters=2, sampler=dict(type='SandwichSampler', num_random=1))
    cfg.search_cfg = dict(
        budget='1G',
        evolution=dict(population=2, generations=1, parents=1, crossovers=1, mutations=1),
    )
    cfg.work_dir = str(folder)
    return cfg
