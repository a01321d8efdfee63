"""Sub-tasks of a base as sparse differences: their stages, and the deposit that has them all."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.deposit.verify import largest_differences
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.engine.settings import check_settings
from mdl_nas_mm.methods.computation_sharing import (
    fix_places,
    load_difference,
    save_difference,
)
from mdl_nas_mm.methods.computation_sharing.base import owns_its_blocks, write_base
from mdl_nas_mm.methods.computation_sharing.fixed import trained_difference
from mdl_nas_mm.methods.computation_sharing.places import CRITERIA, check_density
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.tasks import (
    ResolvedConfig,
    fixed_spec,
    given_spec,
    resolve_joint_config,
    task_scope,
)
from mdl_nas_mm.tasks.input_size import input_size
from mdl_nas_mm.utils.config_file import plain_text
from mdl_nas_mm.utils.files import sha256_of, write_json
from mdl_nas_mm.utils.task_names import check_tasks

from .deposits import add_to_deposit
from .differences import facts_of
from .pipeline import Stages, train_stage, trained_checkpoint
from .tasks import task_infos

STAGES = ('gates', 'places', 'activations')
SUMMARY = 'summary.json'
_FILE = 'difference.safetensors'
# What each is, for who reads the reference.
SUB_TASK_KEYS = dict(
    gates='What is other in the config of the first stage, above all `train_cfg`; needed.',
    places='The same of the second stage, whose `train_cfg.step.difference` is filled in; needed.',
    activations='The same of the third stage; there is none without it.',
    density='The part of all elements that stays after the first stage; else what has open gates.',
    by='Which elements stay: those of the likeliest `gate`, the default, or of the largest `size`.',
    tasks='Task -> any of these, for this task alone.',
)


def share_computation(
    cfg: Config, work_dir: str | Path, tasks: Collection[str] = (), processes: int = 1
) -> Path:
    """Trains each new task of a config as a difference from its base, and adds them to the base.

    Started again after an interruption, it goes on where it was. ``cfg.computation_sharing`` says

    - ``gates``, ``places``, ``activations``: what is other in the config of a stage, above all
      ``train_cfg``; of the last two ``train_cfg.step.difference`` is filled in. The last one may
      be missing;
    - ``density``: the part of all elements that stays after the first stage; without it those
      whose gates are open; ``by``: see ``fix_places``;
    - ``tasks``: task -> any of these, for this task alone.

    Args:
        cfg: a config of new tasks with a ``base``, a deposit.
        work_dir: every stage has a folder in it, ``<task>/<stage>``; the result is
            ``deposit.safetensors``.
        tasks: those of the config to train; by default all.
        processes: of a training.

    Returns:
        The deposit: the base's, and with it the tasks. Beside it, ``summary.json`` has for each
        task what it was trained with and what came of it.

    Raises:
        FileNotFoundError, ValueError: a config is wrong; see ``resolve_joint_config``.
        RuntimeError: a task of the base does not answer as before.
    """
    work_dir, names = Path(work_dir), list(tasks or cfg.tasks)
    check_tasks('sub-tasks', names, cfg.tasks)
    settings = {name: _settings(cfg, name) for name in names}
    cfg = _with_base(cfg, work_dir, any(map(_trains_norms, settings.values())))
    # All of them before anything is trained, so that what is wrong later is said now.
    stages = {name: dict(_stages(cfg, name, settings[name])) for name in names}
    for name in names:
        check_size(stages[name]['gates'], name)
        for stage in stages[name].values():
            check_settings(stage)
    trained = {
        name: _train(stages[name], settings[name], work_dir / name, processes) for name in names
    }
    deposit = _add_all(cfg, trained, work_dir)
    facts = {name: facts_of(deposit, name, stages[name], cfg.get('trust') or ()) for name in names}
    write_json(work_dir / SUMMARY, facts)
    return deposit


def upstream_base(cfg: Config, checkpoint: str | Path, path: str | Path) -> Counts:
    """Writes an upstream model as a deposit of one task, which others may differ from.

    Args:
        cfg: a joint config of one task with one architecture, ``ElasticViT`` or ``ElasticSwin``,
            that equals the upstream model, with ``sharing`` as in ``base.SHARING``.
        checkpoint: of the upstream model.
        path: the file to write.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the config has several tasks or architectures, or a weight of the backbone or
            the head is missing in the checkpoint, or of another size (names it).
    """
    cfg = resolve_joint_config(cfg)
    joint = fixed_spec(cfg)
    if joint is None or len(joint) != 1:
        raise ValueError(f'a base is one task with one architecture, not {sorted(cfg.tasks)}')
    (task,) = joint
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    state = read_checkpoint(checkpoint, cfg.get('trust_checkpoint', False))['state_dict']
    report = model.backbone.inherit(state, prefix='backbone')
    for how in ('missing', 'resized', 'cut'):
        if getattr(report, how):
            raise ValueError(
                f'{checkpoint}: {getattr(report, how)[0]!r} of the backbone is {how}, so that it '
                "would not answer as the upstream model does; give it that one's architecture"
            )
    head = {key: value for key, value in state.items() if not key.startswith('backbone.')}
    own = model.tasks[task].state_dict()
    for key in own:
        if key not in head or head[key].shape != own[key].shape:
            raise ValueError(f'{checkpoint}: {key!r} of the head is missing or of another size')
    model.tasks[task].load_state_dict(head, strict=False)
    return pack(path, model, joint, cfg.model.backbone, task_infos(cfg, {}))


def _settings(cfg: Config, task: str) -> dict[str, Any]:
    """What ``computation_sharing`` says of a task."""
    given = cfg.get('computation_sharing') or {}
    if not isinstance(given, Mapping):
        raise ValueError(f'computation_sharing: {given!r}, expected settings by name')
    common = dict(given)
    of_tasks = common.pop('tasks', None) or {}
    check_tasks('computation_sharing.tasks', of_tasks, cfg.tasks)
    own = dict(of_tasks.get(task) or {})
    found = Config(dict(stages=copy.deepcopy(common)))
    found.merge_from_dict(dict(stages=own))
    settings = dict(found.stages)
    for key in settings:
        if key not in SUB_TASK_KEYS:
            known = [*SUB_TASK_KEYS]
            raise ValueError(f'computation_sharing: unknown key {key!r}, expected {known}')
    for key in STAGES[:2]:
        if settings.get(key) is None:
            raise ValueError(f'computation_sharing: {key!r} is missing, what the stage has other')
    for key in STAGES:
        if not isinstance(settings.get(key) or {}, Mapping):
            raise ValueError(
                f'computation_sharing.{key}: {settings[key]!r}, expected what the stage has other'
            )
    if (settings.get('by') or CRITERIA[0]) not in CRITERIA:
        raise ValueError(f'computation_sharing.by: {settings["by"]!r}, expected one of {CRITERIA}')
    if settings.get('density') is not None:
        check_density(settings['density'], f'computation_sharing, task {task!r}')
    return settings


def _trains_norms(settings: Mapping[str, Any]) -> bool:
    stages = (settings.get(stage) or {} for stage in STAGES)
    steps = ((stage.get('train_cfg') or {}).get('step') or {} for stage in stages)
    return any(step.get('norms_and_biases') for step in steps)


def _with_base(cfg: Config, work_dir: Path, norms: bool) -> Config:
    """The config with a base whose task owns the weights of its blocks, and perhaps its norms."""
    cfg, path = copy.deepcopy(cfg), cfg.get('base')
    cfg.pop('computation_sharing', None)
    if path is None:
        raise ValueError("'base' is missing: the deposit of the task that others start from")
    deposit = Deposit(path, cfg.get('trust') or ())
    if cfg.get('inherit') is None:
        raise ValueError(
            f"'inherit' is missing: the task of {path} that others start from, one of "
            f'{list(deposit.tasks)}'
        )
    deposit.check_task(cfg.inherit)
    if not owns_its_blocks(deposit, cfg.inherit):
        kind = '_with_norms' if norms else ''
        cfg.base = str(work_dir / 'base' / f'{sha256_of(path)[:16]}{kind}.safetensors')
        if not Path(cfg.base).is_file():
            write_base(deposit, cfg.inherit, cfg.base, norms)
    return cfg


def _stages(
    cfg: Config, task: str, settings: Mapping[str, Any]
) -> Iterator[tuple[str, ResolvedConfig]]:
    """Stage -> its config."""
    for stage in STAGES:
        if settings.get(stage) is None:
            continue
        own = copy.deepcopy(cfg)
        own.merge_from_dict(dict(settings[stage]))
        own['tasks'] = {task: own.tasks[task]}
        if stage != 'gates':
            # The file is there when the stage begins.
            own['train_cfg']['step']['difference'] = _FILE
        yield stage, resolve_joint_config(own)


def check_size(cfg: ResolvedConfig, task: str) -> None:
    """Raises ValueError where the sub-task is evaluated on images of another size than its base."""
    info = Deposit(cfg.base, cfg.get('trust') or ()).tasks[cfg.inherit]
    if 'val_dataloader' not in info or cfg.get('val_dataloader') is None:
        return
    base, own = input_size(info['val_dataloader']), input_size(cfg.val_dataloader[task])
    if base and own and tuple(base) != tuple(own):
        raise ValueError(
            f'task {task!r}: images of {own[0]} x {own[1]}, its base {cfg.inherit!r} takes '
            f'{base[0]} x {base[1]}; activations are shared between images of one size'
        )


def _train(
    configs: Mapping[str, ResolvedConfig], settings: Mapping[str, Any], folder: Path, processes: int
) -> tuple[ResolvedConfig, Path]:
    """The config and the checkpoint of the last stage."""
    stages = Stages(folder, dict.fromkeys(configs, 0.0))
    done, before, cfg = Path(), Path(), None
    for stage, cfg in configs.items():
        text = f'{sha256_of(cfg.base)}\n{plain_text(cfg)}'
        if stage != 'gates':
            cfg.load_from = str(trained_checkpoint(done))
            cfg['train_cfg']['step']['difference'] = str(before)
        if stage == 'places':
            text += f'\n{settings.get("density")} {settings.get("by")}'

        def run(into: Path, cfg: ResolvedConfig = cfg, stage: str = stage) -> None:
            if stage == 'places':
                state = read_checkpoint(cfg.load_from)['method']['step']
                fixed = fix_places(state, settings.get('density'), settings.get('by') or 'gate')
                save_difference(cfg.train_cfg.step.difference, fixed)
            train_stage(cfg, into, processes)
            if stage != 'gates':
                state = read_checkpoint(trained_checkpoint(into))['method']['step']
                start = load_difference(cfg.train_cfg.step.difference)
                save_difference(into / _FILE, trained_difference(start, state))

        done = stages.run(stage, text, run)
        # What the first stage leaves is fixed when the second begins.
        before = folder / 'places' / 'start.safetensors' if stage == 'gates' else done / _FILE
    assert cfg is not None
    return cfg, trained_checkpoint(done)


def _add_all(
    cfg: Config, trained: Mapping[str, tuple[ResolvedConfig, Path]], work_dir: Path
) -> Path:
    """The base's deposit with all that were trained."""
    new = work_dir / 'deposit.safetensors'
    partial = new.with_suffix('.partial')
    shutil.copyfile(cfg.base, partial)
    for name, (own, checkpoint) in trained.items():
        stored = {name: dict(type='SparseDifference', base=cfg.inherit)}
        scored, trust = own.get('val_dataloader') is not None, cfg.get('trust') or ()
        joint = given_spec(own)
        add_to_deposit(own, checkpoint, joint, partial, scored, trust, stored)
    for task, difference in largest_differences(cfg.base, partial).items():
        if difference:
            raise RuntimeError(f'{new}: the answers of {task!r} differ by {difference}')
    partial.replace(new)
    return new
