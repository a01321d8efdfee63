"""Which subnets a joint config trains, evaluates and searches: its whole space by default."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config

from mdl_nas_mm.spec import JointSpec, SearchSpace, read_joint_spec


def resolve_subnets(cfg: Config, folder: str) -> None:
    """Checks a joint config's ``joint_spec`` and ``subspace``, and reads the former's file.

    ``joint_spec`` is one architecture for each task: task -> architecture, or the report of a
    search, or the path of a JSON file with either, or of a deposit. Of its tasks, those of the
    config are kept. ``subspace`` is a part of ``backbone.space``, in the form of a space.

    Args:
        folder: what a relative path starts from; else the current folder.

    Raises:
        ValueError: ``joint_spec`` stands beside another choice of subnets, a task has no
            architecture, something lies outside of the space, or the file is not JSON.
        FileNotFoundError: there is no such file.
    """
    given = [key for key in ('joint_spec', 'subspace') if cfg.get(key) is not None]
    if not given:
        return
    if cfg.backbone.get('space') is None:
        raise ValueError(f'{given[0]}: backbone.space, of which it is a part, is missing')
    space = SearchSpace.from_config(cfg.backbone.space)
    if 'joint_spec' in given:
        _check_alone(cfg)
        tasks = tuple(cfg.tasks)
        joint = read_given_spec(cfg.joint_spec, folder)
        joint = JointSpec({task: spec for task, spec in joint.items() if task in tasks})
        space.check_joint(joint, tasks)
        cfg.joint_spec = joint.to_dict()
    else:
        _check_part(SearchSpace.from_config(cfg.subspace), space)


def read_given_spec(source: str | Mapping, folder: str) -> JointSpec:
    """The architectures that a config's ``joint_spec`` gives; see ``resolve_subnets``."""
    where = 'joint_spec'
    if isinstance(source, str):
        beside = osp.join(folder, source)
        source, where = beside if osp.isfile(beside) else source, f'joint_spec {source!r}'
    return read_joint_spec(source, where)


def _check_alone(cfg: Config) -> None:
    """Raises ValueError where something else chooses subnets beside ``joint_spec``."""
    others = {
        'subspace': cfg.get('subspace'),
        'train_cfg.sampler': (cfg.get('train_cfg') or {}).get('sampler'),
        'search_cfg': cfg.get('search_cfg'),
        'backbone.arch': cfg.backbone.get('arch'),
    }
    for key, value in others.items():
        if value is not None:
            raise ValueError(f'joint_spec already says which subnets are used; remove it or {key}')


def _check_part(part: SearchSpace, whole: SearchSpace) -> None:
    """Raises ValueError, naming the first choice that ``whole`` does not have."""
    if len(part.stages) != len(whole.stages):
        raise ValueError(
            f'subspace: {len(part.stages)} stages, backbone.space has {len(whole.stages)}'
        )
    for i, (ours, theirs) in enumerate(zip(part.stages, whole.stages)):
        where = f'subspace, stage {i}'
        if theirs.per_stage and not ours.per_stage:
            raise ValueError(f'{where}: per_stage=True is missing, which backbone.space has')
        _check_choices(ours.embed_dim, theirs.embed_dim, f'{where}, embed_dim')
        _check_choices(ours.depth, theirs.depth, f'{where}, depth')
        for j, (block, choices) in enumerate(zip(ours.blocks, theirs.blocks)):
            if block.ffn_share_ratio is not None and choices.ffn_share_ratio is None:
                raise ValueError(f'{where}: backbone.space has one share ratio a block')
            for key in ('num_heads', 'mlp_ratio', 'attn_share_ratio', 'ffn_share_ratio'):
                # Where a part has one ratio a block, it is the feed-forward one as well.
                own = getattr(block, key) or block.attn_share_ratio
                allowed = getattr(choices, key) or choices.attn_share_ratio
                _check_choices(own, allowed, f'{where}, block {j}, {key}')


def _check_choices(own: tuple, allowed: tuple, where: str) -> None:
    for choice in own:
        if choice not in allowed:
            raise ValueError(f'{where}: {choice} is not one of {allowed}')


def choose_joint_spec(cfg: Config, source: str | Mapping) -> None:
    """Makes an unresolved config one of fixed architectures, whatever it samples otherwise.

    Args:
        source: see ``resolve_subnets``.
    """
    cfg.joint_spec = source
    for key in ('search_cfg', 'subspace'):
        cfg.pop(key, None)
    (cfg.get('train_cfg') or {}).pop('sampler', None)


def fixed_spec(cfg: Config) -> JointSpec | None:
    """The one architecture of each task in a resolved config that leaves no choice, or None."""
    if cfg.get('joint_spec') is not None:
        return JointSpec.from_dict(cfg.joint_spec)
    config = cfg.get('subspace') or cfg.model.backbone.get('space')
    space = None if config is None else SearchSpace.from_config(config)
    if space is None or space.smallest(0) != space.largest():
        return None
    return JointSpec(dict.fromkeys(cfg.tasks, space.largest()))


def drawn_spaces(cfg: Config, whole: SearchSpace) -> dict[str, SearchSpace]:
    """Task -> what training samples its subnets from and a search looks in.

    Args:
        whole: the space of the backbone.
    """
    part = cfg.get('subspace')
    return dict.fromkeys(cfg.tasks, whole if part is None else SearchSpace.from_config(part))
