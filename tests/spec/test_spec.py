"""Architectures as values: equality, hash, JSON, and what is refused."""

import copy
import json
import pickle
import random

import pytest
from refusals import raises_naming

from mdl_nas_mm.families.transformer import TRANSFORMER, BlockSpec, StageSpec, hidden_features
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec, shared_count

SPACE = SearchSpace.from_config(
    [
        dict(embed_dim=(6, 8), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2.5)),
        dict(
            embed_dim=(12, 16),
            depth=(1, 3),
            num_heads=(2, 4),
            mlp_ratio=(2,),
            attn_share_ratio=(0, 0.3, 1),
            ffn_share_ratio=(0.1, 0.7),
        ),
    ],
    TRANSFORMER,
)
FLAT = dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=3.5, share_ratio=0.5)


def test_json_round_trip_keeps_the_spec():
    rng = random.Random(0)
    for _ in range(200):
        spec = SPACE.sample(rng)
        again = TRANSFORMER.read(json.loads(json.dumps(spec.to_dict())))
        assert again == spec
        assert hash(again) == hash(spec)
        assert TRANSFORMER.read(json.loads(str(spec))) == spec


def test_flat_form_of_one_stage():
    block = BlockSpec(2, 3.5, 0.5, 0.5)
    assert TRANSFORMER.read(FLAT) == SubnetSpec((StageSpec(8, (block, block)),))


def test_lists_give_each_block_its_own_choice():
    spec = TRANSFORMER.read(
        dict(
            embed_dim=8,
            num_heads=[1, 2],
            mlp_ratio=[1, 2],
            attn_share_ratio=[0, 0.5],
            ffn_share_ratio=1,
        )
    )
    assert spec.stages[0].blocks == (BlockSpec(1, 1.0, 0.0, 1.0), BlockSpec(2, 2.0, 0.5, 1.0))
    assert spec.depth == 2


def test_specs_are_values():
    first, second = TRANSFORMER.read(FLAT), TRANSFORMER.read(dict(FLAT, share_ratio=0.25))
    assert first != second
    assert {first: 1, second: 2}[TRANSFORMER.read(FLAT)] == 1
    for spec in (first, JointSpec(dict(a=first, b=second))):
        assert copy.deepcopy(spec) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(AttributeError):
        first.stages = ()


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(width=3), ('stage 0', "'width'")),
        (dict(embed_dim=None), ('stage 0', "'embed_dim'")),
        (dict(num_heads=None), ("'num_heads'",)),
        (dict(mlp_ratio=None), ("'mlp_ratio'",)),
        (dict(depth=None), ("'depth'",)),
        (dict(num_heads=[2, 2, 2]), ('num_heads', 3, 2)),
        (dict(share_ratio=[0.5]), ('attn_share_ratio', 1, 2)),
        (dict(num_heads=[2, 1.5]), ('num_heads', 1.5)),
        (dict(embed_dim=7.5), ('embed_dim', 7.5)),
        (dict(share_ratio=1.5), ('share ratio', 1.5, '[0, 1]')),
        (dict(ffn_share_ratio=[0.5, -0.1]), ('ffn_share_ratio', -0.1)),
        (dict(share_ratio=float('nan')), ('share ratio', float('nan'))),
    ],
)
def test_bad_architectures_are_refused(changes, named):
    data = {key: value for key, value in {**FLAT, **changes}.items() if value is not None}
    with raises_naming(ValueError, *named):
        TRANSFORMER.read(data)


def test_joint_spec_is_a_hashable_mapping():
    rng = random.Random(0)
    specs = {task: SPACE.sample(rng) for task in ('cls', 'det')}
    joint = JointSpec(specs)
    assert list(joint) == ['cls', 'det']
    assert joint['det'] == specs['det']
    again = TRANSFORMER.read_joint(json.loads(json.dumps(joint.to_dict())))
    assert again == joint
    assert hash(again) == hash(joint)
    # The order of the tasks is of no meaning.
    turned = JointSpec(dict(reversed(specs.items())))
    assert turned == joint
    assert hash(turned) == hash(joint)
    with pytest.raises(TypeError):
        joint['cls'] = specs['det']


def test_joint_spec_of_other_tasks_is_refused():
    joint = JointSpec(dict(cls=SPACE.smallest(), det=SPACE.largest()))
    SPACE.check_joint(joint, ('det', 'cls'))
    with raises_naming(ValueError, "'seg'"):
        SPACE.check_joint(joint, ('cls', 'det', 'seg'))
    with raises_naming(ValueError, "'det'"):
        SPACE.check_joint(joint, ('cls',))


def test_rounding_of_sizes():
    assert hidden_features(528, 3.5) == 1848
    assert [shared_count(0.5, channels) for channels in range(6)] == [0, 1, 1, 2, 2, 3]
    for channels in range(100):
        assert shared_count(0.0, channels) == 0
        assert shared_count(1.0, channels) == channels
