"""Settings of mmengine that a joint training does not have: said before anything is built.

docs/settings.md lists all settings, and what becomes of each.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import HOOKS, LOOPS, MODELS, PARAM_SCHEDULERS, VISUALIZERS, Registry
from mmengine.runner import LogProcessor, Runner

from mdl_nas_mm.registry import BALANCERS, SEARCH_SCORES, STEPS, SUBNET_SAMPLERS
from mdl_nas_mm.tasks.loader_settings import check_eval_loader, check_train_loader
from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.private import acts_by_epoch
from mdl_nas_mm.utils.registries import named_in

from .launch import BACKENDS, backend_of
from .loops import MultiTaskTrainLoop
from .recipe_settings import check_own_recipe, check_recipe
from .task_pictures import PICTURE_HOOKS, picture_library
from .validation import MultiTaskValLoop

_SCOPE = 'mdl_nas_mm'
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# What a joint config has beside the runner's settings, and what each is.
JOINT_KEYS = dict(
    backbone='The elastic backbone of all tasks: its `type` and arguments; needed without `base`.',
    tasks='Name -> what the task is; needed.',
    parts='Name -> a neck or a head that some tasks share.',
    groups='Task -> how many batches of it make up a step.',
    joint_spec='Task -> the one architecture that is trained, or the path of such a file.',
    subspace='A smaller space, of which alone subnets are sampled.',
    recalibrate_images='Of how many training images batch norms are estimated for an architecture.',
    search_cfg='How a search goes.',
    control='How its model is controlled, for commands: `reference`, `alpha`, `cycles`.',
    held_out_images='Task -> how many training images `mdl-nas hold-out` sets aside.',
    base='A deposit or a supernet that new tasks start from, in place of `backbone`.',
    inherit='The task of the base whose own weights and architecture new tasks start from.',
    trained='What of new tasks is trained: `specific` (usual), `scores`, `head` or `all`.',
    computation_sharing='Stages of `mdl-nas share-computation`, and the density of differences.',
    trust='Classes of yours that the `base` may name, as `module.Class`.',
    trust_checkpoint='Whether checkpoints may hold more than data, such as classes of yours.',
    runner_type='`mdl_nas_mm.MultiTaskRunner`, as the runtime base says.',
    search_dataloader='Made of the tasks.',
    search_evaluator='Made of the tasks.',
    resolved='Written by a training into the config that it saves: all is spelled out.',
)
_NO_TEST = (
    'nothing is tested in a training; mdl-nas test evaluates the validation data of a '
    'checkpoint, mdl-nas deposit test that of a deposit'
)
REFUSED = dict(
    test_dataloader=_NO_TEST,
    test_cfg=_NO_TEST,
    test_evaluator=_NO_TEST,
    data_preprocessor='give it to the model of each task',
    model_wrapper_cfg='a joint model takes no wrapper',
    compile='each new architecture would be compiled anew, see docs/speed.md; remove it',
    sync_bn="give the norms of heads norm_cfg=dict(type='SyncBN')",
)
_LOOP_KEYS = dict(
    max_epochs='give max_iters, in steps',
    by_epoch='steps are counted, never epochs; remove it',
    dynamic_intervals='val_interval is the same all the time',
    fast_forward_on_resume='data start where they stopped without it',
    fp16='validation is in float32; remove it',
)
HOOKS_REFUSED = dict(
    SyncBuffersHook='processes have different tasks, and equal buffers already; remove it',
    SyncNormHook='processes have different tasks, and equal norms already; remove it',
    PreciseBNHook='recalibrate_images of the config does it for each architecture that is scored',
    NumClassCheckHook='there is a head for each task; classes are compared here without it',
    ClassNumCheckHook='there is a head for each task; classes are compared here without it',
    NaiveVisualizationHook=_NO_TEST,
    PrepareTTAHook=_NO_TEST,
)
_CHECKPOINTS = dict(
    filename_tmpl="--resume looks for 'iter_{}.pth'; remove it",
    out_dir='--resume looks into the work dir; give --work-dir',
    backend_args='checkpoints are local files; remove it',
    file_client_args='checkpoints are local files; remove it',
)
_USUAL_HOOKS = dict(logger=dict(type='LoggerHook'), checkpoint=dict(type='CheckpointHook'))


def check_settings(cfg: Config) -> list[str]:
    """Looks through a resolved joint config.

    Returns:
        A line for each setting that is not used, though a training without it may be meant.

    Raises:
        ValueError: a setting would do something else than mmengine says; says what to write.
    """
    warnings = list(_misspelt(cfg))
    for key, why in REFUSED.items():
        if cfg.get(key) not in (None, False):
            raise ValueError(f'{key} is not used: {why}')
    if cfg.get('default_scope', _SCOPE) != _SCOPE:
        raise ValueError(
            f'default_scope is {cfg.default_scope!r}; write {_SCOPE!r}, tasks have own'
        )
    if cfg.get('resume') not in (None, True, False):
        raise ValueError(
            f'resume is {cfg.resume!r}, expected True or False; with resume=True load_from may '
            'name a checkpoint to go on from, or --resume on the command line'
        )
    if (cfg.get('auto_scale_lr') or {}).get('enable'):
        raise ValueError(
            'auto_scale_lr.enable is not used: tasks have batches of their own; give '
            'optim_wrapper.optimizer.lr the rate that is meant'
        )
    _check_loop(cfg.get('train_cfg'), 'train_cfg', MultiTaskTrainLoop)
    _check_loop(cfg.get('val_cfg'), 'val_cfg', MultiTaskValLoop)
    if cfg.get('optim_wrapper') is not None:
        check_recipe(cfg.optim_wrapper)
    _check_schedules(cfg.get('param_scheduler'), cfg.tasks)
    if 'val_interval' in (cfg.get('train_cfg') or {}) and cfg.get('val_cfg') is None:
        warnings.append(
            'train_cfg.val_interval is not used: nothing is validated without '
            "val_cfg = dict(type='MultiTaskValLoop')"
        )
    step = (cfg.get('train_cfg') or {}).get('step')
    if step is not None:
        _check_schedules(step.get('param_scheduler'), cfg.tasks, 'train_cfg.step.param_scheduler')
        kind = named_in(step, STEPS, _SCOPE, 'train_cfg.step')
        warnings += _own_check(kind, cfg)
    check_score(cfg)
    warnings += _check_hooks(cfg)
    if cfg.get('visualizer') is not None:
        named_in(cfg.visualizer, VISUALIZERS, _SCOPE, 'visualizer')
    _check_log_processor(cfg.get('log_processor') or {})
    _check_environment(cfg.get('env_cfg') or {}, cfg.get('randomness') or {})
    for task, info in cfg.tasks.items():
        if cfg.get('train_cfg') is not None:
            warnings += check_train_loader(task, info.scope, cfg.train_dataloader[task])
        for key in ('val_dataloader', 'search_dataloader'):
            if cfg.get(key) is not None:
                check_eval_loader(task, info.scope, key, cfg[key][task])
    return warnings


def check_score(cfg: Config) -> None:
    """Lets the score of a search that follows say what is wrong, before the supernet is trained.

    Raises:
        ValueError: the class is not registered, or its ``check_config`` refuses the config.
    """
    config = (cfg.get('search_cfg') or {}).get('score')
    if config is not None:
        kind = named_in(config, SEARCH_SCORES, _SCOPE, 'search_cfg.score')
        _own_check(kind, cfg)


def _own_check(kind: Any, cfg: Config) -> Sequence[str]:
    """What a class says of a config by its ``check_config``, where it has one."""
    check = getattr(kind, 'check_config', None)
    return () if check is None else check(cfg) or ()


def _misspelt(cfg: Config) -> Iterator[str]:
    known = [*inspect.signature(Runner).parameters, *JOINT_KEYS, *REFUSED]
    for key in cfg:
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        if key not in known and close:
            yield f'{key} is not used; is {close[0]} meant?'


def _check_loop(config: Mapping | None, where: str, usual: type) -> None:
    if config is None:
        return
    for key, why in _LOOP_KEYS.items():
        if config.get(key) not in (None, False):
            raise ValueError(f'{where}.{key} is not used: {why}')
    kind = named_in(config, LOOPS, _SCOPE, where)
    if not issubclass(kind, usual):
        raise ValueError(f'{where}.type is {config["type"]!r}; write {usual.__name__!r}')
    parameters = inspect.signature(kind).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        allowed = {*parameters, *_LOOP_KEYS, 'type'} - {'runner', 'dataloader', 'evaluator'}
        _check_known(config, allowed, where)
    for key, registry in (('sampler', SUBNET_SAMPLERS), ('step', STEPS)):
        if config.get(key) is not None:
            _check_part(config[key], registry, f'{where}.{key}')
    if where == 'train_cfg' and 'max_iters' not in config:
        raise ValueError('train_cfg.max_iters, the number of steps, is missing')
    for key in ('max_iters', 'val_interval'):
        value = config.get(key, 1)
        if not (is_number(value) and 1 <= value < math.inf and value == int(value)):
            raise ValueError(f'{where}.{key} is {value!r}, not a number of steps')


def _check_part(config: Mapping, registry: Registry, where: str) -> None:
    """Raises ValueError for a part of the method that is not there, or has other settings."""
    parameters = inspect.signature(named_in(config, registry, _SCOPE, where)).parameters
    made = {'spaces', 'seed', 'specs', 'tasks'}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        beside = ['param_scheduler', 'balance', 'grad_norm_interval'] if registry is STEPS else []
        _check_known(config, {*parameters, 'type', *beside} - made, where)
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind not in _MANY
        if needed and name not in {*config, *made}:
            raise ValueError(f'{where}.{name} is missing')
    if config.get('balance') is not None:
        _check_part(config['balance'], BALANCERS, f'{where}.balance')
    if config.get('optim_wrapper') is not None:
        check_own_recipe(config['optim_wrapper'], f'{where}.optim_wrapper')


def _check_schedules(config: Any, tasks: Mapping, key: str = 'param_scheduler') -> None:
    if config is None:
        return
    for i, schedule in enumerate(config if isinstance(config, (list, tuple)) else [config]):
        where = f'{key}[{i}]'
        kind = named_in(schedule, PARAM_SCHEDULERS, _SCOPE, where)
        # It counts validations, and mmengine asks it after these if it is by epoch.
        if getattr(kind, 'need_val_args', False) or 'ReduceOnPlateau' in kind.__name__:
            if key != 'param_scheduler':
                raise ValueError(f'{where}: {kind.__name__} counts validations, a step has none')
            _check_metrics(schedule, where, tasks)
            if not schedule.get('by_epoch', True) or 'end' not in schedule:
                raise ValueError(f'{where}: counts validations; write by_epoch=True and end=...')
        elif schedule.get('convert_to_iter_based'):
            raise ValueError(
                f'{where}: convert_to_iter_based=True takes the whole training as an epoch; '
                'remove it, write by_epoch=False and count begin, end and the like in steps'
            )
        elif schedule.get('by_epoch', True):
            usual = '' if 'by_epoch' in schedule else ", mmengine's default"
            raise ValueError(
                f'{where}: by_epoch=True{usual}, but a joint training counts steps, not epochs; '
                'write by_epoch=False and count begin, end and the like in steps'
            )


def _check_hooks(cfg: Config) -> Iterator[str]:
    """Default hooks that are not stated are mmengine's; None removes one."""
    default = {**_USUAL_HOOKS, **(cfg.get('default_hooks') or {})}
    named = {f'default_hooks.{name}': hook for name, hook in default.items()}
    named |= {f'custom_hooks[{i}]': hook for i, hook in enumerate(cfg.get('custom_hooks') or ())}
    for where, config in named.items():
        if config is None:
            continue
        kind = named_in(config, HOOKS, _SCOPE, where)
        name = kind.__name__
        if name in HOOKS_REFUSED:
            raise ValueError(f'{where}: {name} is not used: {HOOKS_REFUSED[name]}')
        if name.endswith('VisualizationHook') and (config.get('draw') or config.get('enable')):
            _check_pictures(where, name, config, cfg.tasks)
        if where == 'default_hooks.checkpoint':
            for key, why in _CHECKPOINTS.items():
                if config.get(key) is not None:
                    raise ValueError(f'{where}.{key} is not used: {why}')
        _check_epochs(kind, config, where)
        _check_metrics(config, where, cfg.tasks)
        if isinstance(config.get('ema_type'), str):
            named_in(dict(type=config['ema_type']), MODELS, _SCOPE, f'{where}.ema_type')
        if not kind.__module__.startswith(('mmengine.', f'{_SCOPE}.')) and acts_by_epoch(kind):
            yield f'{where}: {name} acts with epochs, and the whole training is one here'


def _check_pictures(where: str, name: str, config: Mapping, tasks: Mapping) -> None:
    """Raises ValueError for a hook that draws no task of the run, or wants a window."""
    library = picture_library(dict(type=name))
    if library is None:
        raise ValueError(f'{where}: {name} is not used; there are {", ".join(PICTURE_HOOKS)}')
    if library not in {info.scope for info in tasks.values()}:
        raise ValueError(f'{where}: {name} draws tasks of {library}, and there is none')
    if config.get('show'):
        raise ValueError(f'{where}.show: there is no window in a joint run; remove it')


def _check_metrics(config: Mapping, where: str, tasks: Mapping) -> None:
    """Raises ValueError for a metric to look at that no validation can have."""
    for key in ('save_best', 'monitor'):
        names = config.get(key)
        for name in names if isinstance(names, (list, tuple)) else [names]:
            known = name in (None, 'auto', 's_score') or str(name).partition('/')[0] in tasks
            if not known:
                meant = ' or '.join(repr(f'{task}/{name}') for task in tasks)
                raise ValueError(
                    f"{where}.{key}: there is no {name!r}; write 's_score', or the metric of a "
                    f'task, {meant}'
                )


def _check_log_processor(config: Mapping) -> None:
    _check_epochs(LogProcessor, config, 'log_processor')
    for entry in (config, *(config.get('custom_cfg') or ())):
        if entry.get('window_size') == 'epoch':
            raise ValueError("log_processor: window_size='epoch'; count in steps")


def _check_epochs(kind: type, config: Mapping, where: str) -> None:
    """Raises ValueError for what a hook counts in epochs, also where that is its default."""
    parameters = inspect.signature(kind).parameters
    usual = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    for key, value in _by_epoch({**usual, **config}):
        said = '' if key in config or key not in usual else ", mmengine's default"
        steps = key.replace('epoch', 'iter')
        instead = f'give {steps}' if steps in parameters and steps != key else 'remove it'
        if value is True:
            instead = f'write {key}=False and count in steps'
        raise ValueError(
            f'{where}: {key}={value!r}{said}, but a joint training counts steps, not epochs; '
            f'{instead}'
        )


def _by_epoch(config: Any) -> Iterator[tuple[str, Any]]:
    """Settings, at any depth, that are named after epochs and not off."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if 'epoch' in str(key) and value not in (None, False, 0):
                yield key, value
            else:
                yield from _by_epoch(value)
    elif isinstance(config, (list, tuple)):
        for item in config:
            yield from _by_epoch(item)


def _check_environment(env_cfg: Mapping, randomness: Mapping) -> None:
    _check_known(env_cfg, ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'), 'env_cfg')
    dist_cfg = env_cfg.get('dist_cfg') or {}
    _check_known(dist_cfg, ('backend', 'timeout'), 'env_cfg.dist_cfg')
    backend = backend_of(dict(env_cfg=env_cfg))
    if backend not in BACKENDS:
        raise ValueError(f'env_cfg.dist_cfg.backend is {backend!r}, expected one of {BACKENDS}')
    allowed = ('seed', 'diff_rank_seed', 'deterministic')
    _check_known(randomness, allowed, 'randomness')
    seed = randomness.get('seed')
    if seed is not None and (type(seed) is not int or seed < 0):
        raise ValueError(f'randomness.seed is {seed!r}, expected a number from 0, or None')


def _check_known(config: Mapping, known: Any, where: str) -> None:
    for key in config:
        if key not in known:
            raise ValueError(f'{where}.{key}: no such setting, expected one of {sorted(known)}')
