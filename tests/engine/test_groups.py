"""How ranks are assigned to tasks, and what each has of a step."""

import pytest
from refusals import raises_naming

from mdl_nas_mm.engine.assignment import assign_ranks, assign_scoring
from mdl_nas_mm.engine.plan import StepPlan

TASKS = ('cls', 'det', 'seg')


def counts(batches, world_size):
    return [len(ranks) for ranks in assign_ranks(TASKS, batches, world_size).ranks.values()]


@pytest.mark.parametrize(
    ('batches', 'world_size', 'expected'),
    [
        (None, 3, [1, 1, 1]),
        (None, 6, [2, 2, 2]),
        (None, 7, [3, 2, 2]),
        (dict(cls=16, det=16, seg=16), 48, [16, 16, 16]),
        (dict(cls=16, det=8, seg=8), 4, [2, 1, 1]),
        (dict(cls=16, det=8, seg=8), 8, [4, 2, 2]),
        (dict(cls=1, det=30, seg=1), 5, [1, 3, 1]),
    ],
)
def test_ranks_follow_the_batches(batches, world_size, expected):
    assert counts(batches, world_size) == expected


@pytest.mark.parametrize('world_size', range(3, 20))
def test_every_rank_works_for_one_task_and_tasks_lie_together(world_size):
    assignment = assign_ranks(TASKS, dict(cls=4, det=2, seg=1), world_size)
    ranks = [rank for task in TASKS for rank in assignment.ranks[task]]
    assert ranks == list(range(world_size))
    assert all(len(assignment.tasks_of(rank)) == 1 for rank in ranks)


def test_fewer_ranks_than_tasks_take_several_in_turn():
    assignment = assign_ranks(TASKS, dict(cls=3, det=2, seg=1), 2)
    assert assignment.ranks == dict(cls=(0,), det=(1,), seg=(1,))
    assert assignment.tasks_of(1) == ('det', 'seg')
    assert assign_ranks(TASKS, None, 1).tasks_of(0) == TASKS


@pytest.mark.parametrize(
    ('groups', 'world_size', 'expected'),
    [
        ({}, 1, [(0,), (0,), (0,)]),
        ({}, 2, [(0, 1), (0, 1), (0, 1)]),
        ({}, 3, [(0,), (1,), (2,)]),
        ({}, 4, [(0, 1), (2,), (3,)]),
        # Tasks on the same images are scored together.
        (dict(rooms=('det', 'seg')), 2, [(0,), (1,), (1,)]),
        (dict(rooms=TASKS), 2, [(0, 1), (0, 1), (0, 1)]),
    ],
)
def test_what_only_scores_is_split_over_ranks_that_are_fewer_than_tasks(
    groups, world_size, expected
):
    found = assign_scoring(TASKS, None, world_size, groups)
    assert list(found.ranks.values()) == expected


@pytest.mark.parametrize('world_size', [1, 2, 3, 4, 5, 6, 9, 12])
@pytest.mark.parametrize('batches', [None, dict(cls=2, det=1, seg=3)])
def test_the_parts_of_all_ranks_are_the_whole_batch_once(batches, world_size):
    assignment, sizes = assign_ranks(TASKS, batches, world_size), dict(cls=8, det=5, seg=6)
    found = {task: [] for task in TASKS}
    for rank in range(world_size):
        plan = StepPlan.make(assignment, rank, sizes, dict.fromkeys(TASKS, 1.0), 0)
        for task, parts in plan.parts.items():
            found[task] += parts
    for task in TASKS:
        assert sum(part.weight for part in found[task]) == pytest.approx(1)
        # Each counts as many images of the step as it has, also where they are not equally many.
        images = [p.weight * sizes[task] * assignment.batches_per_step[task] for p in found[task]]
        assert images == pytest.approx([round(count) for count in images]) and min(images) > 0.9
        for batch in range(assignment.batches_per_step[task]):
            own = [part for part in found[task] if part.batch == batch]
            assert [part.part for part in own] == list(range(own[0].parts))


def test_shares_count_batches_not_ranks():
    """The mathematics of a step does not depend on the machine."""
    for world_size in (1, 2, 3, 7):
        assignment = assign_ranks(TASKS, dict(cls=2, det=1, seg=1), world_size)
        assert [assignment.share(task) for task in TASKS] == [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ('batches', 'named'),
    [
        (dict(cls=1, det=1), (['cls', 'det'], ['cls', 'det', 'seg'])),
        (dict(cls=1, det=1, seg=1, pose=1), ("'pose'", ['cls', 'det', 'seg'])),
        (dict(cls=1, det=0, seg=1), ('det', 0)),
        (dict(cls=1, det=1.5, seg=1), ('det', 1.5)),
    ],
)
def test_groups_that_are_not_of_the_tasks_are_refused(batches, named):
    with raises_naming(ValueError, 'groups', *named):
        assign_ranks(TASKS, batches, 4)


def test_the_table_names_ranks_and_batches():
    table = str(assign_ranks(TASKS, dict(cls=2, det=1, seg=1), 8))
    assert '0 to 3' in table and '2/4' in table
