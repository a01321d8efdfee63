"""Every setting of mmengine works as it does there, or one line says what to write instead."""

import inspect
import re

import pytest
from helpers import ROOT, build_runner, joint_config, only
from mmengine import hooks
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, LogProcessor, Runner, ValLoop
from refusals import assert_names, raises_naming
from torch.utils.data import DataLoader

from mdl_nas_mm.engine.settings import JOINT_KEYS, check_settings
from mdl_nas_mm.tasks import resolve_joint_config

# Those of new tasks need their base.
# New tasks need the file that they are added to.
ADDED = re.compile('demo_pose|demo_sketch|.*sub-tasks|transfer_.*|generalise_.*')
SHIPPED = sorted(
    path
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'tasks', 'archs', 'incremental'} & set(path.relative_to(ROOT).parts)
    and not ADDED.fullmatch(path.stem)
)
COSINE = dict(type='CosineAnnealingLR', T_max=2)
LOADER = 'tasks.det.train_dataloader'
REFUSED = [
    # Settings of the runner.
    ({'test_cfg': dict()}, ('test_cfg', 'mdl-nas test')),
    ({'test_dataloader': dict(a=1)}, ('test_dataloader', 'mdl-nas test')),
    ({'test_evaluator': dict(a=1)}, ('test_evaluator', 'mdl-nas test')),
    ({'data_preprocessor': dict(a=1)}, ('data_preprocessor', 'model')),
    ({'model_wrapper_cfg': dict(a=1)}, ('model_wrapper_cfg',)),
    ({'compile': True}, ('compile', 'docs/speed.md')),
    ({'sync_bn': 'torch'}, ('sync_bn', "type='SyncBN'")),
    ({'auto_scale_lr': dict(enable=True)}, ('auto_scale_lr.enable', 'optimizer.lr')),
    ({'default_scope': 'mmdet'}, ('default_scope', "'mmdet'", "'mdl_nas_mm'")),
    ({'env_cfg.dist_cfg.backend': 'mpi'}, ('env_cfg.dist_cfg.backend', "'mpi'", "'gloo'")),
    ({'env_cfg.dist_cfg.init': 1}, ('env_cfg.dist_cfg.init', "'backend'")),
    ({'env_cfg.cudnn': True}, ('env_cfg.cudnn',)),
    ({'randomness.seed': 'a'}, ('randomness.seed', "'a'", None)),
    ({'resume': 'iter_2.pth'}, ("'iter_2.pth'", 'resume=True', 'load_from')),
    (
        {'visualizer.type': 'DetLocalVisualizer'},
        ('visualizer', "'DetLocalVisualizer'", "'mmdet.DetLocalVisualizer'"),
    ),
    (
        {'default_hooks.checkpoint.save_best': ['s_score', 'mIoU']},
        ('default_hooks.checkpoint.save_best', "'mIoU'", "'s_score'", "'seg/mIoU'"),
    ),
    (
        {'custom_hooks': [dict(type='EarlyStoppingHook', monitor='mIoU')]},
        ('custom_hooks[0].monitor', "'mIoU'", "'seg/mIoU'"),
    ),
    (
        {'param_scheduler': [dict(type='ReduceOnPlateauLR', end=9, monitor='mIoU')]},
        ('param_scheduler[0].monitor', "'mIoU'", "'seg/mIoU'"),
    ),
    ({'log_processor.window_size': 'epoch'}, ('log_processor', "window_size='epoch'")),
    ({'randomness.sed': 1}, ('randomness.sed',)),
    # Loops.
    ({'train_cfg.type': 'EpochBasedTrainLoop'}, ("'EpochBasedTrainLoop'", "'MultiTaskTrainLoop'")),
    ({'train_cfg.type': 'NoSuchLoop'}, ('train_cfg', "'NoSuchLoop'")),
    ({'train_cfg.max_epochs': 3}, ('train_cfg.max_epochs', 'max_iters')),
    ({'train_cfg.by_epoch': True}, ('train_cfg.by_epoch',)),
    ({'train_cfg.dynamic_intervals': [(1, 2)]}, ('train_cfg.dynamic_intervals',)),
    ({'train_cfg.max_iter': 3}, ('train_cfg.max_iter:',)),
    ({'train_cfg.max_iters': -1}, ('train_cfg.max_iters', -1)),
    ({'train_cfg.val_interval': 0}, ('train_cfg.val_interval', 0)),
    ({'train_cfg.val_interval': float('inf')}, ('train_cfg.val_interval', float('inf'))),
    ({'val_cfg.fp16': True}, ('val_cfg.fp16', 'float32')),
    ({'val_cfg.type': 'ValLoop'}, ('val_cfg.type', "'ValLoop'", "'MultiTaskValLoop'")),
    # Recipes.
    ({'optim_wrapper': dict(_delete_=True, det=dict())}, ('optim_wrapper.optimizer',)),
    ({'optim_wrapper.type': 'ApexOptimWrapper'}, ("'ApexOptimWrapper'", "'AmpOptimWrapper'")),
    ({'optim_wrapper.accumulative_counts': 2}, ('accumulative_counts', 'groups')),
    (
        {
            'optim_wrapper.constructor': 'mmseg.LayerDecayOptimizerConstructor',
            'optim_wrapper.paramwise_cfg': dict(num_layers=12, layer_decay_rate=0.7),
        },
        (
            "constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor'",
            'paramwise_cfg=dict(layer_decay_rate=0.7, flat_decay_mult=0.0)',
        ),
    ),
    (
        {'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.0)},
        ('norm_decay_mult=0.0', 'custom_keys=dict(norm=dict(decay'),
    ),
    # Schedules.
    ({'param_scheduler': [COSINE]}, ('[0]', 'by_epoch=True', 'mmengine')),
    ({'param_scheduler': [dict(COSINE, by_epoch=True)]}, ('[0]', 'by_epoch=True')),
    (
        {'param_scheduler': [dict(COSINE, by_epoch=True, convert_to_iter_based=True)]},
        ('[0]', 'convert_to_iter_based=True', 'by_epoch=False'),
    ),
    (
        {'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='s_score')]},
        ('[0]', 'by_epoch=True', 'end='),
    ),
    ({'param_scheduler': [dict(type='NoSuchLR')]}, ('param_scheduler', "'NoSuchLR'")),
    # Hooks.
    ({'default_hooks.checkpoint.by_epoch': True}, ('default_hooks.checkpoint', 'by_epoch=True')),
    (
        {'default_hooks.checkpoint': dict(_delete_=True, type='CheckpointHook')},
        ('default_hooks.checkpoint', 'by_epoch=True', 'mmengine', 'by_epoch=False'),
    ),
    (
        {'default_hooks': dict(_delete_=True)},
        ('default_hooks.logger', 'log_metric_by_epoch=True', 'mmengine'),
    ),
    ({'default_hooks.checkpoint.out_dir': 'x'}, ('checkpoint.out_dir', '--work-dir')),
    ({'default_hooks.checkpoint.filename_tmpl': '{}.pth'}, ('filename_tmpl', '--resume')),
    ({'default_hooks.checkpoint.backend_args': dict(a=1)}, ('checkpoint.backend_args',)),
    ({'default_hooks.checkpoint.file_client_args': dict(a=1)}, ('file_client_args',)),
    ({'log_processor.by_epoch': True}, ('log_processor', 'by_epoch=True')),
    ({'log_processor': dict(_delete_=True)}, ('log_processor', 'by_epoch=True', 'mmengine')),
    (
        {'log_processor.custom_cfg': [dict(data_src='loss', window_size='epoch')]},
        ('log_processor', "window_size='epoch'"),
    ),
    *(
        ({'custom_hooks': [hook]}, ('custom_hooks[0]', *named))
        for hook, named in (
            (dict(type='EMAHook', begin_epoch=2), ('begin_epoch=2', 'begin_iter')),
            (dict(type='ProfilerHook'), ('by_epoch=True', 'mmengine')),
            (dict(type='EmptyCacheHook'), ('after_epoch=True', 'mmengine', 'after_epoch=False')),
            (dict(type='mmdet.YOLOXModeSwitchHook'), ('num_last_epochs=15', 'mmengine')),
            (
                dict(type='mmpretrain.SwitchRecipeHook', schedule=[dict(action_epoch=2)]),
                ('action_epoch=2',),
            ),
            (
                dict(type='mmdet.PipelineSwitchHook', switch_epoch=2, switch_pipeline=[]),
                ('switch_epoch',),
            ),
            (dict(type='SyncBuffersHook'), ('SyncBuffersHook',)),
            (dict(type='mmdet.SyncNormHook'), ('SyncNormHook',)),
            (dict(type='mmpretrain.PreciseBNHook'), ('PreciseBNHook', 'recalibrate_images')),
            (dict(type='mmdet.NumClassCheckHook'), ('NumClassCheckHook',)),
            (dict(type='mmpretrain.ClassNumCheckHook'), ('ClassNumCheckHook',)),
            (dict(type='NaiveVisualizationHook'), ('NaiveVisualizationHook',)),
            (dict(type='PrepareTTAHook', tta_cfg=dict()), ('PrepareTTAHook',)),
            (dict(type='mmdet.DetVisualizationHook', draw=True, show=True), ('show',)),
            (dict(type='mmdet.TrackVisualizationHook', draw=True), ('TrackVisualizationHook',)),
            (dict(type='mmpose.PoseVisualizationHook', enable=True), ('mmpose',)),
            (dict(type='NoSuchHook'), ("'NoSuchHook'",)),
            (
                dict(type='ClassNumCheckHook'),
                ("'ClassNumCheckHook'", "'mmpretrain.ClassNumCheckHook'"),
            ),
            (
                dict(type='EMAHook', ema_type='ExpMomentumEMA'),
                ('ema_type', "'mmdet.ExpMomentumEMA'", "'mmpose.ExpMomentumEMA'"),
            ),
            (dict(interval=3), ('type',)),
        )
    ),
    # Loaders.
    (
        {f'{LOADER}.num_batch_per_epoch': 3},
        ("'det'", 'train_dataloader.num_batch_per_epoch'),
    ),
    ({f'{LOADER}.worker_init_fn': dict(type='f')}, ("'det'", 'train_dataloader.worker_init_fn')),
    ({f'{LOADER}.shuffle': True}, ("'det'", 'train_dataloader.shuffle', 'sampler')),
    ({f'{LOADER}.generator': 3}, ("'det'", 'train_dataloader.generator', 'randomness.seed')),
    ({f'{LOADER}.num_worker': 2}, ("'det'", 'train_dataloader.num_worker:')),
    ({f'{LOADER}.batch_size': 'auto'}, ("'det'", 'train_dataloader.batch_size', "'auto'")),
    ({f'{LOADER}.batch_size': 0}, ("'det'", 'train_dataloader.batch_size', 0)),
    ({f'{LOADER}.sampler.type': 'NoSuch'}, ("'det'", 'train_dataloader.sampler', "'NoSuch'")),
    (
        {f'{LOADER}.batch_sampler': dict(type='NoSuch')},
        ("'det'", 'train_dataloader.batch_sampler', "'NoSuch'"),
    ),
    (
        {f'{LOADER}.collate_fn': dict(type='no_such')},
        ("'det'", 'train_dataloader.collate_fn', "'no_such'"),
    ),
    (
        {'tasks.det.val_dataloader.sampler.type': 'InfiniteSampler'},
        ("'det'", 'val_dataloader.sampler', 'InfiniteSampler', "type='DefaultSampler'"),
    ),
]
NOT_USED = [
    ({'param_schedulers': []}, ('param_schedulers', 'param_scheduler ')),
    ({'recalibrate_image': 256}, ('recalibrate_image', 'recalibrate_images ')),
    ({'computation_share': dict()}, ('computation_share', 'computation_sharing ')),
    ({'optim_wraper': dict()}, ('optim_wraper', 'optim_wrapper')),
    (
        {f'{LOADER}.sampler': dict(_delete_=True, type='ClassAwareSampler')},
        ("'det'", 'train_dataloader.sampler', 'ClassAwareSampler', 'ClassBalancedDataset'),
    ),
    (
        {'tasks.cls.train_dataloader.sampler': dict(_delete_=True, type='RepeatAugSampler')},
        ("'cls'", 'train_dataloader.sampler', 'RepeatAugSampler', 'RepeatDataset'),
    ),
    (
        {f'{LOADER}.sampler.seed': 3},
        ("'det'", 'train_dataloader.sampler.seed', 'randomness.seed'),
    ),
    (
        {'custom_hooks': [dict(type='mmdet.SetEpochInfoHook')]},
        ('custom_hooks[0]', 'SetEpochInfoHook'),
    ),
]


def checked(cfg):
    return check_settings(resolve_joint_config(cfg))


@pytest.mark.parametrize(('changes', 'named'), REFUSED, ids=str)
def test_what_would_mean_something_else_is_refused_in_one_line(data, changes, named):
    with raises_naming(ValueError, *named):
        checked(joint_config(data, changes=changes))


@pytest.mark.parametrize(('changes', 'named'), NOT_USED, ids=str)
def test_what_is_not_used_is_said(data, changes, named):
    (line,) = checked(joint_config(data, changes=changes))
    assert_names(line, *named)


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
    with raises_naming(ValueError, 'by_epoch=True'):
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


def test_every_key_that_is_asked_for_is_documented_and_not_to_be_misspelt():
    """docs/reference/config.md has ``JOINT_KEYS``, docs/settings.md mmengine's own."""
    asked = set()
    for path in (ROOT / 'mdl_nas_mm').rglob('*.py'):
        asked |= set(re.findall(r"\bcfg\.get\('(\w+)'", path.read_text()))
    assert {'recalibrate_images', 'search_cfg', 'control'} <= asked
    assert asked <= {*inspect.signature(Runner).parameters, *JOINT_KEYS}
