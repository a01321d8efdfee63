"""Which tasks share a pass, why others do not, and that their architectures are tied."""

import random

import pytest
from refusals import raises_naming
from shared_images import BACKBONES, CLASSES, segmentor

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.families.swin_unet import SWIN_UNET
from mdl_nas_mm.families.swin_unet.dimensions import restrict
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks.pass_groups import check_tied, find_pass_groups, tied

TASKS = ('seg', 'parts', 'cls', 'edges')
GROUPS = dict(rooms=('seg', 'parts', 'edges'))


def models(**changes):
    found = {task: dict(scope='mmseg', model=segmentor(CLASSES.get(task, 4))) for task in TASKS}
    for task, settings in changes.items():
        found[task]['model']['data_preprocessor'].update(settings)
    return found


def pass_groups(sharing='AllShared', changes=None, **backbone):
    config = dict(BACKBONES['ViT'], sharing=sharing, **backbone)
    return find_pass_groups(GROUPS, config, models(**(changes or {})))


def test_tasks_of_a_group_share_a_pass():
    found = pass_groups()
    assert found.of == dict(rooms=(('seg', 'parts', 'edges'),), cls=(('cls',),))
    assert list(found.of) == ['rooms', 'cls']
    assert found.shared == [('seg', 'parts', 'edges')]
    (note,) = found.notes
    assert all(name in note for name in ("'rooms'", "'seg', 'parts', 'edges'"))


@pytest.mark.parametrize('sharing', ['Sequential', 'Mask', dict(norm='AllSpecific')])
def test_weights_of_single_tasks_need_a_pass_each(sharing):
    found = pass_groups(sharing)
    assert found.of['rooms'] == (('seg',), ('parts',), ('edges',)) and not found.shared
    assert 'weights of single tasks' in found.notes[0]


def test_other_settings_of_the_backbone_need_another_pass():
    outputs = dict(seg=(-1,), parts=(0, -1), cls=(-1,), edges=[0, -1])
    found = pass_groups(out_indices=outputs)
    assert found.of['rooms'] == (('seg',), ('parts', 'edges'))
    assert "'parts' and 'seg' differ in backbone.out_indices" in found.notes[0]


@pytest.mark.parametrize(
    ('changes', 'key'),
    [
        (dict(mean=[0.0] * 3), 'mean'),
        (dict(bgr_to_rgb=True), 'bgr_to_rgb'),
        (dict(size=(32, 32), size_divisor=None), 'size'),
        (dict(batch_augments=[dict(type='Mixup')]), 'batch_augments'),
        (dict(type='BaseDataPreprocessor'), 'type'),
    ],
)
def test_other_images_need_another_pass(changes, key):
    found = pass_groups(changes=dict(parts=changes))
    assert found.of['rooms'] == (('seg', 'edges'), ('parts',))
    assert f'data_preprocessor.{key}' in found.notes[0]


def test_labels_may_be_prepared_otherwise_and_defaults_be_said():
    same = dict(seg_pad_val=7, pad_val=0, mean=(100, 100.0, 100), type='mmseg.SegDataPreProcessor')
    assert pass_groups(changes=dict(parts=same)).shared == [GROUPS['rooms']]


def test_subnets_are_tied_to_those_of_the_first_task():
    family = family_of(BACKBONES['ViT'])
    whole, rng = family.space(BACKBONES['ViT']['space']), random.Random(0)
    spaces = {task: whole.with_parts({f'{task}.neck': whole}) for task in ('seg', 'parts')}
    spaces |= dict(edges=whole, cls=whole)
    proposed = {task: [space.sample(rng) for _ in range(2)] for task, space in spaces.items()}
    proposed['parts'].append(spaces['parts'].largest())
    found = tied([GROUPS['rooms']], proposed)
    assert found['cls'] == proposed['cls']
    # The longest list leads, so that none of its subnets is left out.
    roots = [spec.root for spec in proposed['parts']]
    for task in GROUPS['rooms']:
        assert [spec.root for spec in found[task]] == roots
        for spec in found[task]:
            spaces[task].check(spec)
    necks = [spec.part('seg.neck') for spec in proposed['seg']]
    assert [spec.part('seg.neck') for spec in found['seg']] == [*necks, necks[-1]]
    assert found['parts'] == proposed['parts']


def test_each_may_have_some_stages_of_one_architecture():
    """The cells that its skeletons need: in each of the passes, tasks get those of all."""
    level = dict(depth=(1, 2), num_heads=2, mlp_ratio=1, window_side=2, share_ratio=1)
    space = SWIN_UNET.space([dict(level, embed_dim=dims) for dims in ((4, 6), (6, 8), 8, 10)])
    rng, cells = random.Random(0), dict(seg={'e1', 'e2', 'd2.1'}, parts={'e1', 'e2', 'e3'})
    wholes = [space.sample(rng) for _ in range(4)]
    proposed = {task: [restrict(spec, own) for spec in wholes] for task, own in cells.items()}
    expected = [restrict(spec, set().union(*cells.values())) for spec in wholes]
    assert len(set(expected)) == 4
    assert tied([('seg', 'parts')], proposed) == dict(seg=expected, parts=expected)


def test_given_architectures_have_to_be_the_same():
    space = family_of(BACKBONES['ViT']).space(BACKBONES['ViT']['space'])
    specs = dict.fromkeys(TASKS, space.largest())
    check_tied([GROUPS['rooms']], JointSpec({**specs, 'cls': space.smallest()}))
    with raises_naming(ValueError, "'seg'", "'edges'", 'joint_spec', 'tasks.edges.images'):
        check_tied([GROUPS['rooms']], JointSpec({**specs, 'edges': space.smallest()}))
