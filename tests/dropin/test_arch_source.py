"""Where ``arch`` can come from, and what is said of a source that is none."""

import json

import pytest
import torch
from refusals import raises_naming
from stock import ARCH, SPACE, SWIN, build_supernet, joint_spec

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.arch_source import read_arch
from mdl_nas_mm.families import ElasticSwin
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import task_scope

SPEC = TRANSFORMER.read(ARCH)


def build(**settings) -> ElasticSwin:
    with task_scope('mdl_nas_mm'):
        return MODELS.build(dict(SWIN, **settings))


@pytest.mark.parametrize(
    'content',
    [ARCH, SPEC.to_dict(), joint_spec().to_dict(), dict(joint_spec=joint_spec().to_dict())],
    ids=['as in a config', 'canonical', 'one a task', 'report of a search'],
)
def test_inline_and_json_say_the_same(content, tmp_path):
    path = tmp_path / 'arch.json'
    path.write_text(json.dumps(content))
    assert read_arch(content, TRANSFORMER, 'mine') == SPEC
    assert read_arch(path, TRANSFORMER, 'mine') == read_arch(str(path), TRANSFORMER, 'mine') == SPEC


def test_a_deposit_has_one_a_task(sources):
    path = sources / 'deposit.safetensors'
    for task, spec in Deposit(path).joint.items():
        assert read_arch(path, TRANSFORMER, task) == spec
    assert read_arch(path, TRANSFORMER, 'mine') == SPEC != read_arch(path, TRANSFORMER, 'other')


def test_a_backbone_runs_as_its_source(sources):
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    swin = build(space=SPACE, arch=str(sources / 'joint_spec.json'), task='mine')
    assert swin.arch == SPEC and swin.is_fixed and not build(space=SPACE).is_fixed
    for ours, expected in zip(swin(images), swin.forward_subnet(images, None, SPEC)):
        assert torch.equal(ours, expected)


def test_without_a_space_it_has_just_what_the_arch_uses():
    alone, whole = build(space=None, arch=ARCH), build(space=SPACE, arch=ARCH)
    sizes = [sum(p.numel() for p in swin.parameters()) for swin in (alone, whole)]
    assert sizes[0] == alone.ledger().params(SPEC) < sizes[1]
    images = torch.rand(1, 3, 64, 64)
    widths = [stage['embed_dim'] for stage in ARCH['stages']]
    assert [features.shape[1] for features in alone(images)] == widths


@pytest.mark.parametrize('source', ['joint_spec.json', 'deposit.safetensors'])
def test_a_task_has_to_be_named(source, sources):
    with raises_naming(ValueError, source, ['mine', 'other'], 'task='):
        read_arch(sources / source, TRANSFORMER)
    with raises_naming(ValueError, source, "'min'", ['mine', 'other']):
        build(space=SPACE, arch=str(sources / source), task='min')


def test_no_such_file(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / 'nothing.json'):
        build(space=SPACE, arch=str(tmp_path / 'nothing.json'))


@pytest.mark.parametrize(
    ('name', 'content', 'named'),
    [
        ('a.json', '{"stages": ', ('JSON',)),
        ('a.json', '[1, 2]', ('list',)),
        ('a.txt', '{"stages": []}', ('.json', 'deposit')),
        ('a.safetensors', '', ('.json', 'deposit')),
    ],
)
def test_files_of_another_kind(name, content, named, tmp_path):
    (tmp_path / name).write_text(content)
    with raises_naming(ValueError, tmp_path / name, *named):
        read_arch(tmp_path / name, TRANSFORMER, 'mine')


def test_weights_without_a_deposit_are_no_deposit(tmp_path):
    from safetensors.torch import save_file

    save_file({'weight': torch.zeros(1)}, tmp_path / 'a.safetensors')
    with raises_naming(ValueError, tmp_path / 'a.safetensors', '.json', 'deposit'):
        read_arch(tmp_path / 'a.safetensors', TRANSFORMER, 'mine')


def test_neither_space_nor_arch():
    with raises_naming(ValueError, 'ElasticSwin', 'space', 'arch'):
        build(space=None)


def test_a_task_without_weights_or_a_source():
    """A name that chooses nothing is a mistake."""
    with raises_naming(ValueError, "'mine'", ()):
        build(space=SPACE, task='mine')


@pytest.mark.parametrize('space', [None, SPACE], ids=['just the arch', 'a larger space'])
def test_a_backbone_starts_from_deposited_weights(space, sources):
    path = str(sources / 'deposit.safetensors')
    init = dict(type='mdl_nas_mm.Deposited', checkpoint=path)
    swin = build(space=space, arch=path, task='mine', init_cfg=init)
    swin.init_weights()
    supernet, images = build_supernet().backbone.eval(), torch.rand(1, 3, 64, 64)
    expected = supernet.forward_subnet(images, 'mine', SPEC)
    for ours, theirs in zip(swin.eval()(images), expected):
        assert torch.equal(ours, theirs[:, : ours.shape[1]])
        assert not theirs[:, ours.shape[1] :].any()


def test_deposited_weights_that_do_not_fit(sources):
    path = str(sources / 'deposit.safetensors')
    init = dict(type='mdl_nas_mm.Deposited', checkpoint=path)
    other = build(space=SPACE, arch=path, task='mine', init_cfg=dict(init, task='other'))
    with raises_naming(ValueError, "fc1.weight'", "'other'", (8, 8), (16, 8)):
        other.init_weights()
    windows = build(space=None, arch=path, task='mine', window_size=2, init_cfg=init)
    table = 'stages.0.blocks.0.attn.relative_position_bias_table'
    with raises_naming(ValueError, f"'{table}'", "'mine'", (49, 1)):
        windows.init_weights()
    owned = build(space=SPACE, arch=path, task='mine', tasks=('mine',), init_cfg=init)
    with raises_naming(ValueError, 'backbone', 'no tasks'):
        owned.init_weights()
    nameless = build(space=None, arch=ARCH, init_cfg=init)
    with raises_naming(ValueError, None, ['mine', 'other']):
        nameless.init_weights()
