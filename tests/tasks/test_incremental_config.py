"""What a config of new tasks takes from its base, and what is refused before anything runs."""

import pytest
import torch
from elastic_head import WIDTHS, with_elastic_head
from helpers import build_runner, refusal_of_tool, write_config
from mmengine.config import Config
from new_tasks import architectures, base_config, describe_base, new_config
from refusals import assert_names, raises_naming

from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config
from mdl_nas_mm.utils.files import sha256_of


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('base')
    return describe_base(base_config(data, 'Mask'), folder / 'supernet.pth')


@pytest.fixture(scope='module')
def swin(data, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('swin')
    return describe_base(base_config(data, backbone='Swin'), folder / 'supernet.pth')


def test_backbone_is_that_of_the_base(data, base):
    cfg = new_config(data, base, architectures(), changes={'backbone.drop_path_rate': 0.2})
    found = resolve_joint_config(cfg).model
    assert found.trained == 'specific'
    theirs = resolve_joint_config(base_config(data, 'Mask')).model.backbone
    own = ('tasks', 'out_type', 'out_indices', 'drop_path_rate', 'init_cfg')
    for key in found.backbone:
        assert key in own or found.backbone[key] == theirs[key], key
    assert found.backbone.tasks == ('more',)
    assert found.backbone.drop_path_rate == 0.2
    assert found.backbone.init_cfg.type == 'mdl_nas_mm.SupernetBase'


@pytest.mark.parametrize('like', ['cls', 'det', 'seg'])
def test_outputs_and_architecture_are_those_of_the_inherited_task(data, base, like):
    cfg = new_config(data, base, architectures(), like=like)
    found, theirs = (resolve_joint_config(c) for c in (cfg, base_config(data)))
    for key in ('out_type', 'out_indices'):
        assert found.model.backbone[key] == dict(more=theirs.model.backbone[key][like])
    assert found.joint_spec == dict(more=architectures()[like].to_dict())


def test_an_elastic_head_of_its_own(data, base):
    cfg = new_config(data, base, architectures(), like='seg')
    head = with_elastic_head(data).tasks.seg.model.decode_head
    cfg.tasks.more.model.decode_head = head
    found = resolve_joint_config(cfg)
    part = fixed_spec(found)['more'].part('more.decode_head')
    assert [block.width for block in part.stages[0].blocks] == [max(WIDTHS)] * 2
    smaller = {'more.decode_head': dict(stages=[dict(depth=1, width=[min(WIDTHS)])])}
    cfg.joint_spec['more'] = dict(architectures()['seg'].to_dict(), parts=smaller)
    resolved = resolve_joint_config(cfg)
    for found in (resolved, resolve_joint_config(Config(resolved.to_dict()))):
        assert found.joint_spec['more']['parts'] == smaller
        assert fixed_spec(found)['more'].root == architectures()['seg']


def test_outputs_can_be_its_own(data, base):
    changes = {'tasks.more.backbone': dict(out_type='cls_token')}
    found = resolve_joint_config(new_config(data, base, architectures(), changes=changes))
    assert found.model.backbone.out_type == dict(more='cls_token')
    assert found.model.backbone.out_indices == dict(more=(-1,))


def test_the_same_backbone_may_be_stated(data, base):
    stated = {key: base_config(data, 'Mask').backbone[key] for key in ('type', 'space', 'sharing')}
    resolve_joint_config(new_config(data, base, architectures(), changes=dict(backbone=stated)))


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(inherit='pose'), ("'pose'", "['cls', 'det', 'seg']")),
        (dict(inherit=None), ("'inherit'", "['cls', 'det', 'seg']")),
        (dict(joint_spec=None), ("'joint_spec'", 'supernet')),
        (dict(trained='heads'), ('trained', "'heads'")),
        (dict(base='absent.pth'), ('absent.pth',)),
        ({'backbone.head_dim': 4}, ('backbone.head_dim', 'base ')),
        ({'backbone.space.depth': 2}, ('backbone.space', 'base ')),
        ({'backbone.sharing': 'Sequential'}, ('backbone.sharing', 'base ')),
        (
            {'train_cfg.sampler': dict(type='SandwichSampler')},
            ('joint_spec', 'train_cfg.sampler'),
        ),
        ({'tasks.more.train_dataloader.dataset.data_root': 'nowhere/'}, ("'more'", "'nowhere/'")),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(data, base, changes, named):
    if 'backbone.space.depth' in changes:
        space = dict(base_config(data).backbone.space, depth=2)
        changes = {'backbone': dict(space=space)}
    cfg = new_config(data, base, architectures(), changes=changes)
    with raises_naming((ValueError, FileNotFoundError), *named):
        resolve_joint_config(cfg)


def test_name_of_an_old_task_is_refused(data, base):
    cfg = new_config(data, base, architectures(), name='seg')
    with raises_naming(ValueError, base, "'seg'"):
        resolve_joint_config(cfg)


def test_task_without_an_architecture_is_refused(data, base):
    joint = architectures()
    cfg = new_config(data, base, type(joint)(dict(det=joint['det'])))
    with raises_naming(ValueError, 'joint_spec', "'more'", "'cls'", "['det']"):
        resolve_joint_config(cfg)


def test_settings_of_new_tasks_need_a_base(data):
    with raises_naming(ValueError, 'inherit', "'base'"):
        resolve_joint_config(
            new_config(data, 'a.pth', None, changes={'base': None, 'backbone': dict(type='A')})
        )


def test_scores_are_trained_only_where_there_are_any(data, base, swin):
    cfg = new_config(data, swin, architectures('Swin'), changes=dict(trained='scores'))
    with raises_naming(ValueError, swin, 'mask', "trained='scores'"):
        resolve_joint_config(cfg)
    cfg = new_config(data, base, architectures(), changes=dict(trained='scores'))
    cfg.tasks.another = cfg.tasks.more
    with raises_naming(ValueError, "trained='scores'", "['another', 'more']"):
        resolve_joint_config(cfg)


def test_windows_larger_than_the_maps_are_refused(data, swin):
    """Images of 8 pixels end in maps of one, where windows have two."""
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=8)]
    pipeline += [dict(type='PackInputs')]
    changes = {
        'tasks.more.train_dataloader.dataset.pipeline': pipeline,
        'tasks.more.backbone': dict(pad_small_map=False),
        'backbone.pad_small_map': True,
    }
    cfg = new_config(data, swin, architectures('Swin'), backbone='Swin', changes=changes)
    with raises_naming(ValueError, "'more'", '8 x 8', "'cls'", '3 x 3', 2):
        resolve_joint_config(cfg)


def test_more_classes_than_the_head_are_refused_before_training(data, base, tmp_path):
    cfg = new_config(data, base, architectures(), changes={'tasks.more.model.head.num_classes': 7})
    runner = build_runner(cfg, tmp_path)
    with raises_naming(ValueError, "'more'", 10, 'head.num_classes', 7):
        runner.train()


def test_tool_says_it_in_one_line_and_leaves_the_base_alone(data, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sha256_of(base)
    cfg = new_config(data, base, architectures(), changes=dict(inherit='pose'))
    path = write_config(cfg, tmp_path / 'new.py')
    assert_names(refusal_of_tool(monkeypatch, 'train', path), "'pose'", "['cls', 'det', 'seg']")
    assert sha256_of(base) == before


def test_checkpoint_of_something_else_is_no_base(data, tmp_path):
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'other.pth')
    cfg = new_config(data, tmp_path / 'other.pth', architectures())
    with raises_naming(ValueError, 'other.pth', 'joint training'):
        resolve_joint_config(cfg)
    torch.save(dict(state_dict={}, meta=dict(frozen='0')), tmp_path / 'other.pth')
    with raises_naming(ValueError, 'other.pth', 'deposit'):
        resolve_joint_config(cfg)
