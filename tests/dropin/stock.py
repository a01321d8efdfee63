"""Stock configs of the four libraries with an elastic Swin put in, small enough for a CPU.

What a user writes is a file that names a stock config as its ``_base_`` and replaces the
backbone. So do these; all else that they say makes images, heads and schedules small and names
the data.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mdl_nas_mm.deposit import pack
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.utils.upstream import upstream_config_path

STOCK = dict(
    cls='mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
    det='mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py',
    seg='mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    pose='mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192.py',
)
SOURCES = ('inline', 'json', 'deposit', 'sampled')
SPACE = [
    dict(embed_dim=widths, depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=0.5)
    for widths in ((8, 16), (16, 24), (24, 32), (32, 48))
]
ARCH = dict(
    stages=[
        dict(embed_dim=8, depth=2, num_heads=[1, 2], mlp_ratio=2, share_ratio=0.5),
        dict(embed_dim=24, depth=1, num_heads=2, mlp_ratio=1, share_ratio=0.5),
        dict(embed_dim=24, depth=2, num_heads=1, mlp_ratio=[2, 1], share_ratio=0.5),
        dict(embed_dim=48, depth=1, num_heads=2, mlp_ratio=2, share_ratio=0.5),
    ]
)
SAMPLED = dict(custom_hooks=[dict(type='mdl_nas_mm.SampleSubnetHook')])
SWIN = dict(type='mdl_nas_mm.ElasticSwin', head_dim=8, window_size=4, pad_small_map=True)
LARGEST = SearchSpace.from_config(SPACE, TRANSFORMER).largest()
WIDEST = [stage.embed_dim for stage in LARGEST.stages]
_SMALL = 16


def backbone_of(source: str, folder: Path) -> dict:
    """A backbone's config that gets its architecture from ``source``.

    Args:
        folder: where ``write_json`` and ``write_deposit`` have written.
    """
    own = dict(
        inline=dict(space=SPACE, arch=ARCH),
        json=dict(space=SPACE, arch=str(folder / 'joint_spec.json'), task='mine'),
        deposit=dict(
            space=None,
            arch=str(folder / 'deposit.safetensors'),
            task='mine',
            init_cfg=dict(
                type='mdl_nas_mm.Deposited', checkpoint=str(folder / 'deposit.safetensors')
            ),
        ),
        sampled=dict(space=SPACE),
    )
    return dict(SWIN, **own[source])


_SUPERNET = dict(SWIN, space=SPACE, sharing='Sequential', tasks=('other', 'mine'))
_CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='mdl_nas_mm.BackboneSlot'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=WIDEST[-1]),
)
_CLASSIFIERS = {task: dict(scope='mmpretrain', model=_CLASSIFIER) for task in _SUPERNET['tasks']}


def joint_spec() -> JointSpec:
    """``ARCH`` for the task ``mine``, beside another task."""
    other = SearchSpace.from_config(SPACE, TRANSFORMER).smallest()
    return JointSpec(dict(other=other, mine=TRANSFORMER.read(ARCH)))


def write_json(path: Path) -> Path:
    """The report of a search, as far as it matters here."""
    path.write_text(json.dumps(dict(budget=1, joint_spec=joint_spec().to_dict())))
    return path


def build_supernet() -> MultiTaskModel:
    """Two classifiers on one elastic Swin, with random weights, the same in each call."""
    torch.manual_seed(1)
    config = dict(type='MultiTaskModel', backbone=_SUPERNET, tasks=_CLASSIFIERS)
    with task_scope('mdl_nas_mm'):
        return MODELS.build(config)


def write_deposit(path: Path) -> Path:
    """A deposit of ``joint_spec``."""
    pack(path, build_supernet(), joint_spec(), _SUPERNET, _CLASSIFIERS)
    return path


def write_config(path: Path, task: str, backbone: dict, data: Path, **settings) -> Path:
    """A config file over the stock one.

    Args:
        backbone: what ``backbone_of`` gives.
        data: the demonstration data, or for ``pose`` a folder of annotated COCO images.
        settings: more assignments, such as ``custom_hooks``.
    """
    fixed_alone = backbone['space'] is None
    widths = [stage['embed_dim'] for stage in ARCH['stages']] if fixed_alone else WIDEST
    whole = dict(
        custom_imports=dict(imports=['mdl_nas_mm'], allow_failed_imports=False),
        randomness=dict(seed=3),
        **_SETTINGS[task](dict(backbone, _delete_=True), widths, str(data)),
    )
    base = str(upstream_config_path(STOCK[task]))
    lines = [f'_base_ = [{base!r}]']
    lines += [f'{key} = {value!r}' for key, value in (whole | settings).items()]
    path.write_text('\n'.join(lines) + '\n')
    return path


_NUMBERS = itertools.count()


def build_runner(path: Path, **options) -> Runner:
    """A runner of a config file, with options as ``--cfg-options`` takes them."""
    cfg = Config.fromfile(path)
    # mmengine shares the state of runners that have one name.
    cfg.experiment_name = f'test_dropin_{next(_NUMBERS)}'
    cfg.work_dir = str(path.parent / 'work')
    cfg.merge_from_dict(options)
    return Runner.from_cfg(cfg)


def _loaders(train: dict, val: dict) -> dict:
    """Loaders without processes of their own, over a few images."""
    common = dict(num_workers=0, persistent_workers=False)
    train = dict(batch_size=2, **common, dataset=dict(train, indices=4))
    val = dict(batch_size=2, **common, dataset=dict(val, indices=4))
    return dict(train_dataloader=train, val_dataloader=val, test_dataloader=val)


def _classification(backbone: dict, widths: list[int], data: str) -> dict:
    load, pack_inputs = dict(type='LoadImageFromFile'), dict(type='PackInputs')
    crop = dict(type='RandomResizedCrop', scale=64, backend='pillow', interpolation='bicubic')
    splits = [
        dict(
            _delete_=True,
            type='CustomDataset',
            data_root=f'{data}/cls',
            data_prefix=split,
            pipeline=[load, *steps, pack_inputs],
        )
        for split, steps in (
            ('train', [crop, dict(type='RandomFlip', prob=0.5, direction='horizontal')]),
            ('val', [dict(type='ResizeEdge', scale=72), dict(type='CenterCrop', crop_size=64)]),
        )
    ]
    return dict(
        model=dict(backbone=backbone, head=dict(in_channels=widths[-1], num_classes=10)),
        data_preprocessor=dict(num_classes=10),
        **_loaders(*splits),
        train_cfg=dict(max_epochs=1),
        # That of the stock config begins its cosine after 20 epochs.
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2)],
    )


def _detection(backbone: dict, widths: list[int], data: str) -> dict:
    load = dict(type='LoadImageFromFile')
    annotations = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    resize = dict(type='Resize', scale=(64, 64), keep_ratio=True)
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    pack_inputs = dict(type='PackDetInputs', meta_keys=keys)
    split = dict(
        data_root=f'{data}/det/', metainfo=dict(classes=tuple(str(digit) for digit in range(10)))
    )
    pipelines = dict(
        train=[load, annotations, resize, dict(type='RandomFlip', prob=0.5), pack_inputs],
        val=[load, resize, annotations, pack_inputs],
    )
    splits = [
        dict(
            split,
            ann_file=f'annotations/{name}.json',
            data_prefix=dict(img=f'images/{name}/'),
            pipeline=pipeline,
        )
        for name, pipeline in pipelines.items()
    ]
    pooled = dict(out_channels=_SMALL)
    evaluator = dict(ann_file=f'{data}/det/annotations/val.json')
    proposals = dict(nms_pre=50, max_per_img=20)
    return dict(
        model=dict(
            backbone=backbone,
            neck=dict(in_channels=widths, out_channels=_SMALL),
            rpn_head=dict(in_channels=_SMALL, feat_channels=_SMALL),
            roi_head=dict(
                bbox_roi_extractor=pooled,
                bbox_head=dict(in_channels=_SMALL, fc_out_channels=32, num_classes=10),
                mask_roi_extractor=pooled,
                mask_head=dict(in_channels=_SMALL, conv_out_channels=_SMALL, num_classes=10),
            ),
            train_cfg=dict(rpn_proposal=proposals, rcnn=dict(sampler=dict(num=16))),
            # An untrained detector is sure of nothing.
            test_cfg=dict(rpn=proposals, rcnn=dict(score_thr=0.0, max_per_img=5)),
        ),
        **_loaders(*splits),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        train_cfg=dict(max_epochs=1),
    )


def _segmentation(backbone: dict, widths: list[int], data: str) -> dict:
    load, pack_inputs = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
    annotations = dict(type='LoadAnnotations', reduce_zero_label=True)
    random_resize = dict(
        type='RandomResize', scale=(64, 64), ratio_range=(0.5, 2.0), keep_ratio=True
    )
    pipelines = dict(
        training=[
            load,
            annotations,
            random_resize,
            dict(type='RandomCrop', crop_size=(64, 64), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            pack_inputs,
        ],
        validation=[
            load,
            dict(type='Resize', scale=(64, 64), keep_ratio=True),
            annotations,
            pack_inputs,
        ],
    )
    splits = [
        dict(
            data_root=f'{data}/seg',
            data_prefix=dict(img_path=f'images/{name}', seg_map_path=f'annotations/{name}'),
            img_suffix='.png',
            pipeline=pipeline,
        )
        for name, pipeline in pipelines.items()
    ]
    return dict(
        model=dict(
            data_preprocessor=dict(size=(64, 64)),
            backbone=backbone,
            decode_head=dict(channels=_SMALL, in_channels=widths),
            auxiliary_head=dict(channels=_SMALL, in_channels=widths[2]),
        ),
        **_loaders(*splits),
        train_cfg=dict(max_iters=2, val_interval=2),
        default_hooks=dict(checkpoint=dict(interval=2)),
    )


def _pose(backbone: dict, widths: list[int], data: str) -> dict:
    codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
    load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    affine = dict(type='TopdownAffine', input_size=codec['input_size'])
    pack_inputs = dict(type='PackPoseInputs')
    augmented = [
        *load,
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform'),
        affine,
        dict(type='GenerateTarget', encoder=codec),
        pack_inputs,
    ]
    split = dict(data_root=data, ann_file='person_keypoints.json', data_prefix=dict(img='images/'))
    evaluator = dict(ann_file=f'{data}/person_keypoints.json')
    return dict(
        model=dict(
            backbone=dict(backbone, out_indices=(3,)),
            head=dict(in_channels=widths[3], deconv_out_channels=(_SMALL,) * 3, decoder=codec),
        ),
        **_loaders(
            dict(split, pipeline=augmented),
            # The boxes of the annotations, not those of a detector.
            dict(split, pipeline=[*load, affine, pack_inputs], bbox_file=None),
        ),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        train_cfg=dict(max_epochs=1, val_interval=1),
        default_hooks=dict(checkpoint=dict(interval=1)),
    )


_SETTINGS = dict(cls=_classification, det=_detection, seg=_segmentation, pose=_pose)
