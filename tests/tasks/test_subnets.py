"""A joint config fixes an architecture a task, or a part of its space; mistakes are named."""

import json

import pytest
from helpers import TASKS, joint_config, only
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config, sampled_spaces

PER_STAGE = [
    dict(
        embed_dim=(8, 16),
        depth=(1, 2),
        num_heads=(1, 2),
        mlp_ratio=2,
        share_ratio=(0.5, 1),
        per_stage=True,
    )
]


@pytest.fixture
def cfg(data):
    """The small joint config, without what chooses other subnets."""
    cfg = joint_config(data)
    cfg.train_cfg.pop('sampler')
    cfg.pop('search_cfg')
    return cfg


@pytest.fixture
def joint(cfg):
    """Another architecture for each task."""
    space = family_of(cfg.backbone).space(cfg.backbone.space)
    return JointSpec(dict(zip(TASKS, (space.smallest(), space.largest(0), space.smallest(0)))))


def test_from_a_dict_or_a_report(cfg, joint):
    assert fixed_spec(resolve_joint_config(cfg)) is None
    for given in (joint.to_dict(), dict(s_score=1.0, joint_spec=joint.to_dict())):
        cfg.joint_spec = given
        assert fixed_spec(resolve_joint_config(cfg)) == joint


def test_from_a_file_beside_the_config_else_in_the_current_folder(
    cfg, joint, tmp_path, monkeypatch
):
    beside, here = tmp_path / 'configs', tmp_path / 'here'
    beside.mkdir()
    here.mkdir()
    cfg.tasks = {task: dict(info, config=None) for task, info in _inline(cfg).items()}
    cfg.joint_spec = 'archs/mine.json'
    cfg.dump(beside / 'mine.py')
    monkeypatch.chdir(here)
    other = JointSpec(dict.fromkeys(TASKS, joint['cls']))
    for folder, expected in ((here, other), (beside, joint)):
        (folder / 'archs').mkdir()
        (folder / 'archs' / 'mine.json').write_text(json.dumps(expected.to_dict()))
        resolved = resolve_joint_config(Config.fromfile(beside / 'mine.py'))
        assert fixed_spec(resolved) == expected
    # What is resolved needs no file any more, also after it was written and read.
    (beside / 'archs' / 'mine.json').unlink()
    resolved.dump(tmp_path / 'resolved.py')
    assert fixed_spec(resolve_joint_config(Config.fromfile(tmp_path / 'resolved.py'))) == joint


def _inline(cfg):
    """The tasks of a config with nothing left to read from upstream configs."""
    whole = resolve_joint_config(cfg)
    keys = ('train_dataloader', 'val_dataloader', 'val_evaluator')
    return {
        task: dict(
            {key: whole[key][task] for key in keys},
            scope=info.scope,
            score=info.score.metric,
            model=whole.model.tasks[task].model,
        )
        for task, info in whole.tasks.items()
    }


def test_of_more_tasks_than_the_config_has(cfg, joint):
    cfg.joint_spec = joint.to_dict()
    resolved = resolve_joint_config(only(cfg, 'seg', 'det'))
    assert fixed_spec(resolved) == JointSpec({task: joint[task] for task in ('det', 'seg')})


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'train_cfg.sampler': dict(type='SandwichSampler')}, ('joint_spec', 'train_cfg.sampler')),
        ({'search_cfg': dict(budget='1M')}, ('joint_spec', 'search_cfg')),
        ({'backbone.arch': dict(embed_dim=16)}, ('joint_spec', 'backbone.arch')),
        ({'subspace': dict(embed_dim=16)}, ('joint_spec', 'subspace')),
        ({'backbone.space': None}, ('joint_spec', 'backbone.space')),
        ({'joint_spec.det': None}, ('joint_spec', 'task')),
        ({'joint_spec': 5}, ('joint_spec', 'int')),
        ({'joint_spec': 'nowhere.json'}, ("joint_spec 'nowhere.json'",)),
        ({'tasks.pose': dict()}, ('joint spec', "'pose'")),
        (
            {'joint_spec.seg.stages': [dict(embed_dim=20, depth=1, num_heads=1, mlp_ratio=1)]},
            ("'seg'", 'stage 0, embed_dim', 20, '(16, 24)'),
        ),
        (
            {'joint_spec.seg.stages': [dict(embed_dim=16, depth=1, num_heads=1)]},
            ('joint_spec', 'stage 0', "'mlp_ratio'"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_joint_specs_that_are_refused(cfg, joint, changes, named):
    """Before a task's own config is read: there is none here."""
    for task in cfg.tasks.values():
        task.config = 'none/to/read.py'
    cfg.joint_spec = joint.to_dict()
    cfg.merge_from_dict(changes)
    with raises_naming((ValueError, FileNotFoundError), *named):
        resolve_joint_config(cfg)


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('{', ('JSON',)),
        ('{"cls": {"embed_dim": NaN}}', ('JSON', 'NaN')),
        ('{"cls": {}, "cls": {}}', ('JSON', "'cls'")),
        ('{"cls": {"stages": 3}}', ("'stages'",)),
        ('{"cls": {"stages": [3]}}', ('stage 0', 'int')),
        (
            '{"cls": {"embed_dim": 8, "depth": 1e99, "num_heads": 1, "mlp_ratio": 1}}',
            ('depth', '1e+99'),
        ),
        (
            '{"cls": {"embed_dim": 8, "depth": 2, "num_heads": "ab", "mlp_ratio": 1}}',
            ('num_heads', 'str'),
        ),
        ('[1]', ('list',)),
        ('{}', ('task',)),
    ],
)
def test_files_that_are_refused(cfg, tmp_path, text, named):
    path = tmp_path / 'mine.json'
    path.write_text(text)
    cfg.joint_spec = str(path)
    with raises_naming(ValueError, 'joint_spec', path, *named):
        resolve_joint_config(cfg)


def test_a_subspace_is_what_is_drawn_from(cfg):
    whole = family_of(cfg.backbone).space(cfg.backbone.space)
    spaces = sampled_spaces(resolve_joint_config(cfg), whole)
    assert spaces == dict.fromkeys(cfg.tasks, whole)
    part = dict(cfg.backbone.space, embed_dim=24, share_ratio=0.6)
    cfg.subspace = part
    spaces = sampled_spaces(resolve_joint_config(cfg), whole)
    assert spaces == dict.fromkeys(cfg.tasks, SearchSpace.from_config(part, TRANSFORMER))


@pytest.mark.parametrize(
    ('whole', 'changes', 'named'),
    [
        (None, dict(embed_dim=(16, 20)), ('stage 0, embed_dim', 20, '(16, 24)')),
        (None, dict(depth=(1, 2, 3)), ('stage 0, depth', 3, '(1, 2)')),
        (None, dict(num_heads=[[1], [3]]), ('stage 0, block 1, num_heads', 3)),
        (None, dict(mlp_ratio=(1, 1.5, 2)), ('stage 0, block 0, mlp_ratio', 1.5)),
        (None, dict(share_ratio=(0.3, 1)), ('stage 0, block 0, attn_share_ratio', 1)),
        (None, dict(ffn_share_ratio=0.3), ('stage 0', 'backbone.space', 'share ratio')),
        (PER_STAGE, dict(per_stage=False), ('stage 0', 'backbone.space', 'per_stage=True')),
        (PER_STAGE * 2, {}, ('stages', 1, 'backbone.space', 2)),
    ],
    ids=str,
)
def test_subspaces_that_are_refused(cfg, whole, changes, named):
    part = dict(whole[0] if whole else cfg.backbone.space, **changes)
    cfg.backbone.space = whole or cfg.backbone.space
    cfg.subspace = part
    with raises_naming(ValueError, 'subspace', *named):
        resolve_joint_config(cfg)


def test_windows_of_a_task(cfg):
    cfg.tasks.det.backbone.window_size = 14
    backbone = resolve_joint_config(cfg).model.backbone
    assert backbone.window_size == dict(cls=0, det=14, seg=0)
    # What the backbone has for all tasks is what a task has that does not say otherwise.
    cfg.backbone.window_size = 7
    backbone = resolve_joint_config(cfg).model.backbone
    assert backbone.window_size == dict(cls=7, det=14, seg=7)
    cfg.tasks.det.backbone.pop('window_size')
    assert resolve_joint_config(cfg).model.backbone.window_size == 7


def test_padding_of_a_task(cfg):
    cfg.backbone.type = 'ElasticSwin'
    for task in cfg.tasks.values():
        task.backbone = {}
    cfg.tasks.seg.backbone.pad_small_map = True
    for common in (None, dict(cls=True)):
        cfg.backbone.pad_small_map = common
        backbone = resolve_joint_config(cfg).model.backbone
        assert backbone.pad_small_map == dict(cls=False, det=False, seg=True)


def test_a_setting_of_another_family_is_refused(cfg):
    cfg.tasks.det.backbone.pad_small_map = True
    with raises_naming(ValueError, "'det'", 'backbone.pad_small_map'):
        resolve_joint_config(cfg)


def test_unknown_keys_of_a_tasks_backbone_are_refused(cfg):
    cfg.tasks.det.backbone.windows = 14
    with raises_naming(ValueError, "'det'", 'backbone.windows'):
        resolve_joint_config(cfg)


def test_a_space_of_one_architecture_leaves_no_choice(cfg):
    assert fixed_spec(resolve_joint_config(cfg)) is None
    cfg.backbone.space = dict(cfg.backbone.space, embed_dim=24, depth=1, num_heads=2, mlp_ratio=2)
    assert fixed_spec(resolve_joint_config(cfg)) is None
    cfg.backbone.space.share_ratio = 0.6
    only = family_of(cfg.backbone).space(cfg.backbone.space).largest()
    assert fixed_spec(resolve_joint_config(cfg)) == JointSpec(dict.fromkeys(cfg.tasks, only))
