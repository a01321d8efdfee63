"""Which subnets a joint config trains, evaluates and searches: its whole space by default."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config

from mdl_nas_mm.elastic.arch_source import read_archs, read_joint_spec
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.spec import Dimensions, JointSpec, SearchSpace, check_joint
from mdl_nas_mm.utils.upstream import upstream_config_path

from .elastic_parts import joint_dimensions, part_spaces


def check_subnets(cfg: Config, folder: str) -> None:
    """Checks a joint config's ``joint_spec`` and ``subspace``, before upstream's configs are read.

    ``joint_spec`` is one architecture for each task: task -> architecture, or the report of a
    search, or the path of a JSON file with either, which may be a package's own
    (``mdl_nas_mm::mdl_nas/archs/mdl-nas-b_mask.json``), or of a deposit. ``subspace`` is a part
    of ``backbone.space``, in the form of a space.

    Args:
        cfg: the joint config, not resolved yet.
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
    family = family_of(cfg.backbone)
    space = family.space(cfg.backbone.space, cfg.backbone)
    if 'joint_spec' in given:
        _check_alone(cfg)
        joint = read_given_spec(cfg.joint_spec, family.dimensions, folder)
        joint = JointSpec({task: spec for task, spec in joint.items() if task in cfg.tasks})
        space.check_joint(joint, tuple(cfg.tasks))
    else:
        try:
            family.space(cfg.subspace, cfg.backbone).check_part_of(space, 'backbone.space')
        except ValueError as error:
            raise ValueError(f'subspace: {error}') from None


def resolve_subnets(cfg: Config, folder: str) -> None:
    """Reads the file of a ``joint_spec``, and keeps the architectures of the config's tasks.

    Of parts beside the backbone it may say nothing; these are then the largest.

    Args:
        cfg: with its ``model``; see ``check_subnets``.
        folder: see ``check_subnets``.

    Raises:
        ValueError: the choices of a part are not valid, or its architecture is none of them.
    """
    parts = part_spaces(cfg.model)
    if cfg.get('joint_spec') is None:
        return
    space = family_of(cfg.backbone).space(cfg.backbone.space, cfg.backbone)
    spaces = {task: space.with_parts(own) for task, own in parts.items()}
    joint = read_given_spec(cfg.joint_spec, joint_dimensions(cfg.model), folder)
    known = ((task, joint[task]) for task in spaces if task in joint)
    joint = JointSpec({task: spaces[task].completed(spec) for task, spec in known})
    check_joint(joint, spaces)
    cfg.joint_spec = joint.to_dict()


def read_given_spec(source: str | Mapping, dimensions: Dimensions, folder: str) -> JointSpec:
    """The architectures that a config's ``joint_spec`` gives; see ``check_subnets``."""
    source, where = _found(source, folder)
    return read_joint_spec(source, dimensions, where)


def read_given_parts(source: str | Mapping, folder: str) -> dict[str, Mapping]:
    """Task -> what a config's ``joint_spec`` says of its elastic parts, unchecked.

    Args:
        source, folder: see ``read_given_spec``.
    """
    given = read_archs(*_found(source, folder))
    return {task: arch['parts'] for task, arch in given.items() if 'parts' in arch}


def _found(source: str | Mapping, folder: str) -> tuple[str | Mapping, str]:
    """Where a ``joint_spec`` is, and what errors call it."""
    if not isinstance(source, str):
        return source, 'joint_spec'
    where, beside = f'joint_spec {source!r}', osp.join(folder, source)
    if '::' in source:
        return str(upstream_config_path(source)), where
    return beside if osp.isfile(beside) else source, where


def _check_alone(cfg: Config) -> None:
    """Raises ValueError where something else chooses subnets beside ``joint_spec``."""
    others = {
        'subspace': cfg.get('subspace'),
        'train_cfg.sampler': (cfg.get('train_cfg') or {}).get('sampler'),
        'train_cfg.num_random': (cfg.get('train_cfg') or {}).get('num_random'),
        'search_cfg': cfg.get('search_cfg'),
        'backbone.arch': cfg.backbone.get('arch'),
    }
    for key, value in others.items():
        if value is not None:
            raise ValueError(f'joint_spec already says which subnets are used; remove it or {key}')


def choose_joint_spec(cfg: Config, source: str | Mapping) -> None:
    """Makes an unresolved config one of fixed architectures, whatever it samples otherwise.

    Args:
        cfg: the joint config, changed in place.
        source: see ``check_subnets``.
    """
    cfg.joint_spec = source
    for key in ('search_cfg', 'subspace'):
        cfg.pop(key, None)
    for key in ('sampler', 'num_random'):
        (cfg.get('train_cfg') or {}).pop(key, None)


def given_spec(cfg: Config) -> JointSpec:
    """The ``joint_spec`` of a resolved config."""
    return joint_dimensions(cfg.model).read_joint(cfg.joint_spec)


def fixed_spec(cfg: Config) -> JointSpec | None:
    """The one architecture of each task in a resolved config that leaves no choice, or None."""
    if cfg.get('joint_spec') is not None:
        return given_spec(cfg)
    whole = cfg.model.backbone.get('space')
    if whole is None:
        return None
    backbone = cfg.model.backbone
    spaces = sampled_spaces(cfg, family_of(backbone).space(whole, backbone))
    if any(each.smallest(0) != each.largest() for each in spaces.values()):
        return None
    return JointSpec({task: each.largest() for task, each in spaces.items()})


def has_one_size(cfg: Config) -> bool:
    """Whether the architectures that a resolved config trains of a task differ in nothing but in
    how much they share, so that a step has one of each."""
    backbone = cfg.model.backbone
    if cfg.get('joint_spec') is not None or backbone.get('space') is None:
        return True
    spaces = sampled_spaces(cfg, family_of(backbone).space(backbone.space, backbone))
    return all(each.smallest() == each.largest() for each in spaces.values())


def sampled_spaces(cfg: Config, whole: SearchSpace) -> dict[str, SearchSpace]:
    """Task -> what training samples its subnets from and a search looks in.

    Args:
        cfg: the resolved joint config.
        whole: the space of the backbone.
    """
    if cfg.get('subspace') is not None:
        whole = family_of(cfg.model.backbone).space(cfg.subspace, cfg.model.backbone)
    return {task: whole.with_parts(own) for task, own in part_spaces(cfg.model).items()}
