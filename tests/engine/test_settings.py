"""Every setting of mmengine works as it does there, or one line says what to write instead."""

import inspect
import re

import pytest
from helpers import ROOT, build_runner, joint_config, only
from mmengine import hooks
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, LogProcessor, Runner, ValLoop
from torch.utils.data import DataLoader

from mdl_nas_mm.engine.settings import check_settings
from mdl_nas_mm.tasks import resolve_joint_config

# Those of new tasks need their base.
SHIPPED = sorted(
    path
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'tasks', 'archs', 'incremental'} & set(path.relative_to(ROOT).parts)
    and path.stem not in ('demo_pose', 'demo_sketch')
)
COSINE = dict(type='CosineAnnealingLR', T_max=2)
LOADER = 'tasks.det.train_dataloader'
REFUSED = [
    # Settings of the runner.
    ({'test_cfg': dict()}, r'test_cfg is not used: .* tools/test.py'),
    ({'test_dataloader': dict(a=1)}, 'test_dataloader is not used: '),
    ({'test_evaluator': dict(a=1)}, 'test_evaluator is not used: '),
    ({'data_preprocessor': dict(a=1)}, 'data_preprocessor is not used: give it to the model of'),
    ({'model_wrapper_cfg': dict(a=1)}, 'model_wrapper_cfg is not used: '),
    ({'compile': True}, r'compile is not used: .* docs/speed.md'),
    ({'sync_bn': 'torch'}, r"sync_bn is not used: .*type='SyncBN'"),
    ({'auto_scale_lr': dict(enable=True)}, r'auto_scale_lr.enable is not used: .*optimizer.lr'),
    ({'default_scope': 'mmdet'}, "default_scope is 'mmdet'; write 'mdl_nas_mm'"),
    ({'env_cfg.dist_cfg.backend': 'mpi'}, "env_cfg.dist_cfg.backend is 'mpi', expected one of"),
    ({'env_cfg.dist_cfg.init': 1}, 'env_cfg.dist_cfg.init: no such setting, expected one of'),
    ({'env_cfg.cudnn': True}, 'env_cfg.cudnn: no such setting'),
    ({'randomness.seed': 'a'}, "randomness.seed is 'a', expected a number from 0, or None"),
    ({'resume': 'iter_2.pth'}, "resume is 'iter_2.pth', expected True or False; with resume=True"),
    (
        {'visualizer.type': 'DetLocalVisualizer'},
        "visualizer: mdl_nas_mm knows no .*; is 'mmdet.DetLocalVisualizer' meant",
    ),
    (
        {'default_hooks.checkpoint.save_best': ['s_score', 'mIoU']},
        "default_hooks.checkpoint.save_best: there is no 'mIoU'; write 's_score', or the metric of "
        "a task, 'cls/mIoU' or 'det/mIoU' or 'seg/mIoU'",
    ),
    (
        {'custom_hooks': [dict(type='EarlyStoppingHook', monitor='mIoU')]},
        r"custom_hooks\[0\].monitor: there is no 'mIoU'",
    ),
    (
        {'param_scheduler': [dict(type='ReduceOnPlateauLR', end=9, monitor='mIoU')]},
        r"param_scheduler\[0\].monitor: there is no 'mIoU'",
    ),
    ({'log_processor.window_size': 'epoch'}, "log_processor: window_size='epoch'; count in steps"),
    ({'randomness.sed': 1}, 'randomness.sed: no such setting'),
    # Loops.
    ({'train_cfg.type': 'EpochBasedTrainLoop'}, "type is 'EpochBasedTrainLoop'; write 'MultiTask"),
    ({'train_cfg.type': 'NoSuchLoop'}, "train_cfg: mdl_nas_mm knows no 'NoSuchLoop'"),
    ({'train_cfg.max_epochs': 3}, 'train_cfg.max_epochs is not used: give max_iters, in steps'),
    ({'train_cfg.by_epoch': True}, 'train_cfg.by_epoch is not used: '),
    ({'train_cfg.dynamic_intervals': [(1, 2)]}, 'train_cfg.dynamic_intervals is not used: '),
    ({'train_cfg.max_iter': 3}, 'train_cfg.max_iter: no such setting'),
    ({'train_cfg.max_iters': -1}, 'train_cfg.max_iters is -1, not a number of steps'),
    ({'train_cfg.val_interval': 0}, 'train_cfg.val_interval is 0, not a number of steps'),
    ({'val_cfg.fp16': True}, 'val_cfg.fp16 is not used: validation is in float32'),
    ({'val_cfg.type': 'ValLoop'}, "val_cfg.type is 'ValLoop'; write 'MultiTaskValLoop'"),
    # Recipes.
    ({'optim_wrapper': dict(_delete_=True, det=dict())}, 'optim_wrapper.optimizer is missing'),
    ({'optim_wrapper.type': 'ApexOptimWrapper'}, "'ApexOptimWrapper'; write 'AmpOptimWrapper'"),
    ({'optim_wrapper.accumulative_counts': 2}, 'accumulative_counts is not used here; groups'),
    (
        {
            'optim_wrapper.constructor': 'mmseg.LayerDecayOptimizerConstructor',
            'optim_wrapper.paramwise_cfg': dict(num_layers=12, layer_decay_rate=0.7),
        },
        r"write constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor', "
        r'paramwise_cfg=dict\(layer_decay_rate=0.7, flat_decay_mult=0.0\)',
    ),
    (
        {'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.0)},
        r'norm_decay_mult=0.0 reaches norms of torch alone.*custom_keys=dict\(norm=dict\(decay',
    ),
    # Schedules.
    (
        {'param_scheduler': [COSINE]},
        r"\[0\]: by_epoch=True, mmengine's default, but .* counts steps",
    ),
    ({'param_scheduler': [dict(COSINE, by_epoch=True)]}, r'\[0\]: by_epoch=True, but a joint'),
    (
        {'param_scheduler': [dict(COSINE, by_epoch=True, convert_to_iter_based=True)]},
        r'convert_to_iter_based=True takes the whole training as an epoch; .*by_epoch=False',
    ),
    (
        {'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='s_score')]},
        'counts validations; write by_epoch=True and end=',
    ),
    (
        {'param_scheduler': [dict(type='NoSuchLR')]},
        "param_scheduler.*: mdl_nas_mm knows no 'NoSuchLR'",
    ),
    # Hooks.
    ({'default_hooks.checkpoint.by_epoch': True}, 'checkpoint: by_epoch=True, but .* counts steps'),
    (
        {'default_hooks.checkpoint': dict(_delete_=True, type='CheckpointHook')},
        "default_hooks.checkpoint: by_epoch=True, mmengine's default, .*write by_epoch=False",
    ),
    ({'default_hooks': dict(_delete_=True)}, r'default_hooks.logger: log_metric_by_epoch=True, mm'),
    ({'default_hooks.checkpoint.out_dir': 'x'}, 'checkpoint.out_dir is not used: .* --work-dir'),
    ({'default_hooks.checkpoint.filename_tmpl': '{}.pth'}, 'filename_tmpl is not used: --resume'),
    ({'default_hooks.checkpoint.backend_args': dict(a=1)}, 'checkpoint.backend_args is not used'),
    ({'default_hooks.checkpoint.file_client_args': dict(a=1)}, 'file_client_args is not used'),
    ({'log_processor.by_epoch': True}, r'log_processor: by_epoch=True, but .* steps, not epochs'),
    ({'log_processor': dict(_delete_=True)}, "log_processor: by_epoch=True, mmengine's default"),
    (
        {'log_processor.custom_cfg': [dict(data_src='loss', window_size='epoch')]},
        "window_size='epoch'; count in steps",
    ),
    *(
        ({'custom_hooks': [hook]}, message)
        for hook, message in (
            (dict(type='EMAHook', begin_epoch=2), 'begin_epoch=2, but .*; give begin_iter'),
            (dict(type='ProfilerHook'), "by_epoch=True, mmengine's default"),
            (dict(type='EmptyCacheHook'), "after_epoch=True, mmengine's default, .*after_epoch=Fa"),
            (dict(type='mmdet.YOLOXModeSwitchHook'), "num_last_epochs=15, mmengine's default"),
            (
                dict(type='mmpretrain.SwitchRecipeHook', schedule=[dict(action_epoch=2)]),
                r'custom_hooks\[0\]: action_epoch=2, but a joint training counts steps',
            ),
            (
                dict(type='mmdet.PipelineSwitchHook', switch_epoch=2, switch_pipeline=[]),
                'switch_ep',
            ),
            (dict(type='SyncBuffersHook'), 'SyncBuffersHook is not used: processes'),
            (dict(type='mmdet.SyncNormHook'), 'SyncNormHook is not used: processes'),
            (
                dict(type='mmpretrain.PreciseBNHook'),
                'PreciseBNHook is not used: recalibrate_images',
            ),
            (dict(type='mmdet.NumClassCheckHook'), 'NumClassCheckHook is not used: '),
            (dict(type='mmpretrain.ClassNumCheckHook'), 'ClassNumCheckHook is not used: '),
            (
                dict(type='NaiveVisualizationHook'),
                'NaiveVisualizationHook is not used: nothing is t',
            ),
            (
                dict(type='PrepareTTAHook', tta_cfg=dict()),
                'PrepareTTAHook is not used: nothing is t',
            ),
            (dict(type='mmdet.DetVisualizationHook', draw=True), 'tools/infer.py draws for all'),
            (dict(type='NoSuchHook'), r"custom_hooks\[0\]: mdl_nas_mm knows no 'NoSuchHook'"),
            (
                dict(type='ClassNumCheckHook'),
                r"custom_hooks\[0\]: mdl_nas_mm knows no 'ClassNumCheckHook'; is "
                "'mmpretrain.ClassNumCheckHook' meant",
            ),
            (
                dict(type='EMAHook', ema_type='ExpMomentumEMA'),
                r"custom_hooks\[0\].ema_type: mdl_nas_mm knows no .*; is 'mmdet.ExpMomentumEMA' "
                "or 'mmpose.ExpMomentumEMA' meant",
            ),
            (dict(interval=3), r'custom_hooks\[0\]: the type is missing'),
        )
    ),
    # Loaders.
    (
        {f'{LOADER}.num_batch_per_epoch': 3},
        r"'det', train_dataloader.num_batch_per_epoch is not .*",
    ),
    ({f'{LOADER}.worker_init_fn': dict(type='f')}, 'worker_init_fn is not used: what a worker'),
    (
        {f'{LOADER}.shuffle': True},
        'train_dataloader.shuffle is not used: it belongs to the sampler',
    ),
    ({f'{LOADER}.generator': 3}, 'train_dataloader.generator is not used: randomness.seed'),
    ({f'{LOADER}.num_worker': 2}, 'num_worker: no setting of a loader is named so'),
    (
        {f'{LOADER}.batch_size': 'auto'},
        "loader.batch_size is 'auto', expected at least 1",
    ),
    ({f'{LOADER}.batch_size': 0}, 'loader.batch_size is 0, expected at least 1'),
    ({f'{LOADER}.sampler.type': 'NoSuch'}, "train_dataloader.sampler: mmdet knows no 'NoSuch'"),
    ({f'{LOADER}.batch_sampler': dict(type='NoSuch')}, "batch_sampler: mmdet knows no 'NoSuch'"),
    ({f'{LOADER}.collate_fn': dict(type='no_such')}, "collate_fn: mmdet knows no 'no_such'"),
    (
        {'tasks.det.val_dataloader.sampler.type': 'InfiniteSampler'},
        "'det', val_dataloader.sampler: InfiniteSampler never ends.*type='DefaultSampler'",
    ),
]
NOT_USED = [
    ({'param_schedulers': []}, 'param_schedulers is not used; is param_scheduler meant?'),
    ({'optim_wraper': dict()}, 'optim_wraper is not used; is optim_wrapper meant?'),
    (
        {f'{LOADER}.sampler': dict(_delete_=True, type='ClassAwareSampler')},
        "task 'det', train_dataloader.sampler: ClassAwareSampler is not used, images come in "
        'shuffled passes over all; ClassBalancedDataset around the data set repeats images of '
        'rare classes',
    ),
    (
        {'tasks.cls.train_dataloader.sampler': dict(_delete_=True, type='RepeatAugSampler')},
        "task 'cls', train_dataloader.sampler: RepeatAugSampler is not used, images come in "
        'shuffled passes over all; RepeatDataset around the data set repeats each image, not in '
        'the same batch',
    ),
    (
        {f'{LOADER}.sampler.seed': 3},
        "task 'det', train_dataloader.sampler.seed is not used; randomness.seed of the joint "
        'config is',
    ),
    (
        {'custom_hooks': [dict(type='mmdet.SetEpochInfoHook')]},
        'custom_hooks[0]: SetEpochInfoHook acts with epochs, and the whole training is one here',
    ),
]


def checked(cfg):
    return check_settings(resolve_joint_config(cfg))


@pytest.mark.parametrize(('changes', 'message'), REFUSED, ids=str)
def test_what_would_mean_something_else_is_refused_in_one_line(data, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        checked(joint_config(data, changes=changes))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('changes', 'line'), NOT_USED, ids=str)
def test_what_is_not_used_is_said(data, changes, line):
    assert checked(joint_config(data, changes=changes)) == [line]


def test_a_config_without_an_epoch_in_it_has_nothing_to_be_said_of(data):
    hooks = [
        dict(type='EMAHook', begin_iter=2, priority='LOWEST'),
        dict(type='EarlyStoppingHook', monitor='s_score'),
        dict(type='EmptyCacheHook', after_epoch=False, after_iter=True),
    ]
    changes = {
        'custom_hooks': hooks,
        'find_unused_parameters': True,
        'auto_scale_lr': dict(enable=False, base_batch_size=16),
        'param_scheduler': [
            dict(COSINE, by_epoch=False),
            dict(type='ReduceOnPlateauLR', monitor='s_score', by_epoch=True, end=9),
        ],
        'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.0, flat_decay_mult=0.0),
        'some_variable': 3,
        'train_pipeline': [],
    }
    assert checked(joint_config(data, changes=changes)) == []


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_say_nothing_that_is_not_used(path):
    cfg = Config.fromfile(path)
    assert check_settings(resolve_joint_config(cfg, check_files=False)) == []


def test_a_single_schedule_need_not_be_a_list(data):
    cfg = joint_config(data)
    cfg.param_scheduler = COSINE
    with pytest.raises(ValueError, match='by_epoch=True'):
        checked(cfg)


def test_the_log_has_what_is_not_used(data, tmp_path):
    sampler = dict(_delete_=True, type='ClassAwareSampler')
    build_runner(joint_config(data, changes={f'{LOADER}.sampler': sampler}), tmp_path)
    (log,) = tmp_path.rglob('*.log')
    assert re.search(r'WARNING - task .det., .* ClassAwareSampler is not used', log.read_text())


def test_a_sequential_sampler_is_not_shuffled(data, tmp_path):
    cfg = only(joint_config(data), 'cls')
    cfg.tasks.cls.train_dataloader.sampler = dict(_delete_=True, type='SequentialSampler')
    runner = build_runner(cfg, tmp_path)
    loop = runner.build_train_loop(runner.cfg.train_cfg)
    assert not loop.dataloader.loaders['cls'].batch_sampler.batch_sampler.sampler.shuffle


def listed():
    """Every setting that docs/settings.md has a line for."""
    text = (ROOT / 'docs' / 'settings.md').read_text()
    rows = [line.split('|')[1] for line in text.splitlines() if line.startswith('|')]
    return {name for row in rows for name in re.findall(r'`([^`]+)`', row)}


def arguments(function, *without):
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    } - {'self', *without}


@pytest.mark.parametrize(
    ('prefix', 'names'),
    [
        ('', lambda: arguments(Runner, 'model', 'cfg')),
        ('train_cfg.', lambda: arguments(IterBasedTrainLoop, 'runner', 'dataloader')),
        ('val_cfg.', lambda: arguments(ValLoop, 'runner', 'dataloader', 'evaluator')),
        ('log_processor.', lambda: arguments(LogProcessor)),
        ('randomness.', lambda: arguments(Runner.set_randomness)),
        ('train_dataloader.', lambda: arguments(DataLoader)),
        (
            '',
            lambda: (
                set(re.findall(r"cfg\.get\(\s*'(\w+)'", inspect.getsource(Runner)))
                - {
                    'type',
                    'seed',
                    'mp_cfg',
                    'dist_cfg',
                    'cudnn_benchmark',
                    'resource_limit',
                    'num_workers',
                    'by_epoch',
                }
            ),
        ),
        ('', lambda: {name for name in hooks.__all__ if name != 'Hook'}),
        *(
            (f'{name}.', lambda name=name: arguments(HOOKS.get(name)))
            for name in ('CheckpointHook', 'LoggerHook', 'EMAHook', 'EarlyStoppingHook')
        ),
    ],
)
def test_the_list_of_settings_is_complete(prefix, names):
    """A new argument of mmengine's or torch's needs a line in docs/settings.md."""
    known = listed()
    missing = {prefix + name for name in names()} - known
    assert not missing
