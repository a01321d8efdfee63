"""Names of state-dict entries: whose each is, and back again."""

import ast
from pathlib import Path

import pytest

import mdl_nas_mm
from mdl_nas_mm.spec.owners import (
    ALL,
    Owners,
    backbone_scores,
    is_of_joint_model,
    owners_of,
    read_name,
    score_name,
    specific_name,
)


@pytest.mark.parametrize(
    ('name', 'owners', 'plain'),
    [
        ('blocks.0.attn.qkv.weight', ALL, 'blocks.0.attn.qkv.weight'),
        ('blocks.0.attn.qkv.score', ALL, 'blocks.0.attn.qkv.score'),
        ('norm.specific.det.bias', Owners.of('det'), 'norm.bias'),
        ('norm.specific.det+seg.bias', Owners.of('seg', 'det'), 'norm.bias'),
        ('specific.det.weight', Owners.of('det'), 'weight'),
        ('backbone.norm.specific.a.bias', Owners.of('a'), 'backbone.norm.bias'),
        ('module.backbone.norm.specific.a.bias', Owners.of('a'), 'module.backbone.norm.bias'),
        ('tasks.det.neck.specific.b.weight', Owners.of('det'), 'tasks.det.neck.specific.b.weight'),
        ('module.tasks.det.head.score', Owners.of('det'), 'module.tasks.det.head.score'),
        ('unspecific.a.weight', ALL, 'unspecific.a.weight'),
    ],
)
def test_an_entrys_name_says_whose_it_is(name, owners, plain):
    entry = read_name(name)
    assert (entry.owners, entry.plain) == (owners, plain)
    assert owners_of(name) == owners


@pytest.mark.parametrize('owners', [Owners.of('det'), Owners.of('seg', 'cls')])
@pytest.mark.parametrize('plain', ['backbone.blocks.0.norm.weight', 'weight'])
def test_specific_names_round_trip(owners, plain):
    entry = read_name(specific_name(plain, owners))
    assert (entry.owners, entry.plain) == (owners, plain)
    assert Owners.read(owners.label) == owners


def test_owners_are_sets_of_tasks():
    some = Owners.of('b', 'a')
    assert some.label == 'a+b'
    assert 'a' in some and 'c' not in some and None not in some and 'c' in ALL
    assert some.among(('c', 'b', 'a')) == ('b', 'a')
    assert Owners.of('a') <= some <= some <= ALL
    assert not some <= Owners.of('a', 'c') and not ALL <= some


def test_scores_are_no_weights():
    assert read_name(score_name('blocks.0.norm1')).is_score
    assert not read_name('blocks.0.norm1.weight').is_score
    assert read_name('blocks.0.norm1.weight').is_shared_weight
    assert not read_name('blocks.0.norm1.specific.a.weight').is_shared_weight
    state = {'backbone.norm.score': 1, 'backbone.norm.weight': 2, 'tasks.a.head.score': 3}
    assert backbone_scores(state) == {'norm': 1}


def test_other_keys_are_no_entries_of_a_joint_model():
    assert is_of_joint_model('module.backbone.norm.weight') and is_of_joint_model('tasks.a.fc.bias')
    assert not any(map(is_of_joint_model, ('steps', 'module.norm', 3)))


def test_no_other_file_builds_or_reads_the_names_of_specific_weights_and_scores():
    package, found = Path(mdl_nas_mm.__file__).parent, []
    for path in sorted(package.rglob('*.py')):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in said:
                if text.startswith(('.specific', 'specific.')) or text == '.score':
                    found.append(f'{path.relative_to(package)}: {text!r}')
    assert not found
