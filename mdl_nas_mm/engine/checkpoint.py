"""Checkpoints that are whole, and that fit the model they are loaded into."""

from __future__ import annotations

import hashlib
import logging
import os.path as osp
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec, Ledger, footprint
from mdl_nas_mm.spec.owners import (
    backbone_name,
    backbone_scores,
    in_backbone,
    owners_of,
    part_entry,
    read_name,
    task_entry,
)
from mdl_nas_mm.tasks import MultiTaskModel, fixed_spec, given_spec, task_scope
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.jsonable import to_json
from mdl_nas_mm.utils.torch_file import read_torch_file

from .freeze import used_mask
from .groups import TaskGroups
from .state import own_state, put_back


def read_checkpoint(path: str | Path, trust: bool = False) -> dict:
    """Reads a checkpoint of this package's runner.

    Args:
        path: a file, or its address; see ``local_file``.
        trust: whether it may hold anything, and so run any code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, altered, or no checkpoint; or see ``read_torch_file``.
    """
    checkpoint = read_torch_file(local_file(path), trust)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get('state_dict'), Mapping):
        raise ValueError(f"checkpoint {path} has no 'state_dict'")
    return checkpoint


def describe_backbone(backbone: ElasticBackbone) -> dict:
    """What a checkpoint says of the backbone it was made with."""
    return dict(space=backbone.space.to_config(), sharing=backbone.sharing.to_config())


def describe_training(cfg: Config) -> dict:
    """What new tasks need to know of a supernet that they are based on, as plain data.

    Args:
        cfg: a resolved joint config.
    """
    joint = fixed_spec(cfg)
    return dict(
        backbone=to_json(cfg.model.backbone),
        tasks=list(cfg.model.tasks),
        joint_spec=None if joint is None else joint.to_dict(),
    )


def check_space(path: str | Path, checkpoint: Mapping, backbone: ElasticBackbone) -> None:
    """Raises ValueError, naming the first differing choice, for a checkpoint of another space.

    Share ratios may differ: a supernet is pre-trained with everything shared.
    """
    theirs = checkpoint.get('meta', {}).get('backbone')
    if theirs is None:
        return
    ours, dimensions = describe_backbone(backbone)['space'], backbone.space.dimensions
    sizes = [dimension.name for dimension in dimensions.all if not dimension.is_ratio]
    if len(theirs['space']) != len(ours):
        raise ValueError(
            f'checkpoint {path} is of another space: it has {len(theirs["space"])} stages, '
            f'not {len(ours)}'
        )
    for i, (old, new) in enumerate(zip(theirs['space'], ours)):
        for key in ('depth', *sizes):
            # A stage that no architecture has says nothing of sizes.
            theirs_of, ours_of = old.get(key), new.get(key)
            if theirs_of != ours_of:
                raise ValueError(
                    f'checkpoint {path} is of another space: stage {i}, {key} is '
                    f'{theirs_of}, not {ours_of}'
                )


def check_resumable(
    path: str | Path, checkpoint: Mapping, num_schedulers: int, tasks: Sequence[str]
) -> None:
    """Raises ValueError, naming what is missing, for a checkpoint that cannot be resumed.

    Args:
        path: what errors call it.
        checkpoint: as ``read_checkpoint`` gives it.
        num_schedulers: of the training that is to go on.
        tasks: of that, in their order.
    """
    for key in ('meta', 'optimizer', 'message_hub'):
        if key not in checkpoint:
            raise ValueError(
                f'checkpoint {path} has no {key!r}, so no training can go on from it; '
                'load_from starts one from its weights'
            )
    theirs = checkpoint['meta'].get('joint', {}).get('tasks', tasks)
    if 'step' in checkpoint.get('method', {}) and list(theirs) != list(tasks):
        raise ValueError(
            f'checkpoint {path}: its state of train_cfg.step is of the tasks {list(theirs)}, not '
            f'of {list(tasks)}, in this order; load_from starts a training from its weights'
        )
    found = len(checkpoint.get('param_schedulers', ()))
    if found != num_schedulers:
        raise ValueError(
            f"checkpoint {path} does not fit: 'param_schedulers' has {found} entries, "
            f'not {num_schedulers}'
        )


def load_weights(path: str | Path, model: MultiTaskModel, state: Mapping, strict: bool) -> None:
    """Loads a state dict into a joint model.

    With ``strict``, every key has to fit. Without, the checkpoint may be of other tasks or of a
    pre-training in which everything was shared: the shared weights have to fit; a task's own
    weights start from the shared ones where the checkpoint has none, and what tasks share beside
    the backbone from that of the first of them; heads of tasks that the checkpoint does not know
    keep their initial values. So do weights of a head that have another shape, as for other
    classes, which is said.

    Raises:
        ValueError: names the first key that is missing, left over or of another shape.
    """
    own = model.state_dict()
    state = dict(state) if strict else _with_parts(_with_inherited(state, own), own, model)
    if not strict:
        state = _without_other_heads(path, state, own)
    for key, value in state.items():
        if key in own and own[key].shape != value.shape:
            raise ValueError(
                f'checkpoint {path} does not fit: {key!r} has shape {tuple(value.shape)}, '
                f'not {tuple(own[key].shape)}'
            )
        if key not in own and (strict or _is_shared(key)):
            raise ValueError(f'checkpoint {path} does not fit: {key!r} is not in the model')
    for key in own:
        if key not in state and (strict or _is_shared(key)):
            raise ValueError(f'checkpoint {path} does not fit: {key!r} is missing')
    model.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _with_inherited(state: Mapping, own: Mapping) -> dict:
    """The state with a task's own weights of the model taken from the shared ones, if it has none.

    Shared weights of layers that in the model have none are left out then.
    """
    whole, used = dict(state), set()
    for key in own:
        shared = read_name(key).plain
        if shared != key and shared in state:
            whole.setdefault(key, state[shared])
            used.add(shared)
    return {key: value for key, value in whole.items() if key in own or key not in used}


def _with_parts(state: Mapping, own: Mapping, model: MultiTaskModel) -> dict:
    """The state with what tasks of the model share in necks and heads, or own of these.

    Where the checkpoint has a weight as another kind of owners have it, all take that.
    """
    whole = dict(state)
    for each in model.held_parts:
        for name in each.names:
            shared = part_entry(each.part.owners, name)
            names = [shared, *(task_entry(task, name) for task in each.part.tasks)]
            source = next((key for key in names if key in state), None)
            if source is not None:
                found = {key: state[source] for key in names if key in own and key not in state}
                whole.update(found)
    return whole


def _without_other_heads(path: str | Path, state: Mapping, own: Mapping) -> dict:
    """The state without weights of necks and heads that have another shape in the model."""
    fits, others = {}, []
    for key, value in state.items():
        if not in_backbone(key) and key in own and own[key].shape != value.shape:
            others.append(f'{key} {tuple(value.shape)} for {tuple(own[key].shape)}')
        else:
            fits[key] = value
    if others:
        print_log(
            f'checkpoint {path}: of another shape, so these keep their initial values: '
            + ', '.join(others),
            'current',
            logging.WARNING,
        )
    return fits


def _is_shared(key: str) -> bool:
    return in_backbone(key) and read_name(key).is_shared_weight


def shared_digest(state: Mapping[str, Tensor], backbone: ElasticBackbone, joint: JointSpec) -> str:
    """Tells the shared weights that architectures use from any others.

    Args:
        state: a whole state dict of a joint model.
        backbone: whose layout says which entries and elements are used.
        joint: the architectures.
    """
    scores = {layer: score.float().cpu().numpy() for layer, score in backbone_scores(state).items()}
    roots = [(task, spec.root) for task, spec in joint.items()]
    used = footprint(Ledger(backbone.layout, backbone.sharing, scores), roots)
    digest = hashlib.sha256()
    for (name, first), lengths in used.items():
        if owners_of(name).are_all:
            weight = state[backbone_name(name)].detach().cpu()
            elements = weight[used_mask(weight, lengths, first)].view(torch.uint8).numpy()
            run = f'{name}@{first}' if first else name
            for part in (run.encode(), lengths.tobytes(), elements.tobytes()):
                digest.update(part)
    return digest.hexdigest()


def with_frozen(path: str | Path, checkpoint: dict, model: MultiTaskModel, cfg: Config) -> dict:
    """The checkpoint with the model's frozen weights, which it does not hold, from their base.

    Args:
        path: what errors call the checkpoint.
        checkpoint: as ``read_checkpoint`` gives it.
        model: which says what is frozen.
        cfg: the resolved config of the model.

    Raises:
        ValueError: the checkpoint was trained beside other frozen weights, or without any.
        FileNotFoundError: the base is not there.
    """
    frozen = model.frozen()
    if not frozen:
        return checkpoint
    if not model.backbone.is_init:
        model.backbone.init_weights()
    whole = put_back(checkpoint, frozen)
    theirs = checkpoint.get('meta', {}).get('frozen')
    state, own = whole['state_dict'], model.state_dict()
    for key in own:
        if key not in state:
            raise ValueError(f'checkpoint {path} does not fit: {key!r} is missing')
    if theirs != shared_digest(state, model.backbone, given_spec(cfg)):
        raise ValueError(f'checkpoint {path} was not trained beside the weights of base {cfg.base}')
    return whole


def load_supernet(cfg: Config, path: str | Path, ranks: TaskGroups | None = None) -> MultiTaskModel:
    """The model of a resolved joint config with a checkpoint's weights, in eval mode.

    Args:
        cfg: the resolved joint config.
        path: the checkpoint, a path or an address.
        ranks: whose tasks to build; by default all tasks.

    Raises:
        FileNotFoundError, ValueError: see ``read_checkpoint``, ``check_space``, ``load_weights``.
    """
    checkpoint, config = read_checkpoint(path, cfg.get('trust_checkpoint', False)), cfg.model
    if ranks is not None:
        checkpoint, config = own_state(checkpoint, ranks), ranks.own_part(config)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(config)
    check_space(path, checkpoint, model.backbone)
    checkpoint = with_frozen(path, checkpoint, model, cfg)
    load_weights(path, model, checkpoint['state_dict'], strict=True)
    return model.to(get_device()).eval()


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint of the most iterations in a folder that is not cut short, or None.

    Raises:
        ValueError: all are cut short.
    """
    paths, whole = _checkpoints(work_dir)
    if paths and not whole:
        raise ValueError(f'checkpoint {paths[-1]} is cut short, and no whole one is beside it')
    if paths and paths[-1] != whole[-1]:
        text = f'checkpoint {paths[-1]} is cut short; {whole[-1]} is whole, and is taken'
        print_log(text, 'current', logging.WARNING)
    return whole[-1] if whole else None


def _checkpoints(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The checkpoints of a folder in the order of their iterations, and those that are whole."""
    paths = [path for path in Path(folder).glob('iter_*.pth') if path.stem[5:].isdigit()]
    paths.sort(key=lambda path: int(path.stem[5:]))
    # The list of what is in a checkpoint is at its end.
    return paths, [path for path in paths if zipfile.is_zipfile(path)]


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Makes a config go on from a checkpoint.

    Args:
        cfg: the config, changed in place.
        checkpoint: a path, or ``auto`` for the latest one in the config's ``work_dir``; where
            there is none yet, the training starts as the config says.

    Raises:
        ValueError: the checkpoint is a folder, or cut short; names a whole one in or beside it.
    """
    if osp.isdir(checkpoint):
        _, whole = _checkpoints(checkpoint)
        meant = f'; is {whole[-1]} meant?' if whole else ''
        raise ValueError(f'--resume: {checkpoint} is a folder, no checkpoint{meant}')
    if osp.isfile(checkpoint) and not zipfile.is_zipfile(checkpoint):
        _, whole = _checkpoints(osp.dirname(checkpoint) or '.')
        beside = f'; {whole[-1]} is whole: --resume {whole[-1]}' if whole else ''
        raise ValueError(f'checkpoint {checkpoint} is cut short or no checkpoint{beside}')
    path = latest_checkpoint(cfg.work_dir) if checkpoint == 'auto' else checkpoint
    cfg.resume = path is not None
    if path is not None:
        cfg.load_from = str(path)
