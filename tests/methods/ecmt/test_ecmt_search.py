"""Preferences, widths of decoders, costs as tables, and the evolution of the encoder."""

import itertools
import math

import numpy as np
import pytest
from refusals import raises_naming
from slim_space import RATIOS, TASKS, columns_of, losses_of, multiply_adds

from mdl_nas_mm.methods.ecmt.evolve import Evolution, InfeasibleBudget, evolve
from mdl_nas_mm.methods.ecmt.preferences import decoder_places, normalised, read_preferences
from mdl_nas_mm.methods.ecmt.tabled import TabledCost


@pytest.mark.parametrize(
    ('said', 'expected'),
    [
        (dict(seg=1, depth=0.3), [1, 0.3, 0, 0]),
        (dict(seg=50, depth=30, normals=20, edges=10), [1, 0.5, 0.25, 0]),
        (dict.fromkeys(TASKS, 0.2), [1, 1, 1, 1]),
        (dict(edges=7), [0, 0, 0, 1]),
        (dict(seg=3, depth=3), [1, 1, 0, 0]),
    ],
)
def test_preferences_in_any_scale(said, expected):
    assert list(normalised(said, TASKS).values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('said', 'named'),
    [
        (dict(nope=1), ["'nope'", 'seg']),
        (dict(seg=-1), ["'seg'", '-1']),
        (dict(seg=math.nan), ["'seg'", 'nan']),
        (dict(seg=math.inf), ["'seg'", 'inf']),
        (dict(seg='much'), ["'seg'", "'much'"]),
        (dict(seg=0, depth=0), ['0', 'seg']),
        ({}, ['0', 'seg']),
    ],
)
def test_preferences_that_mean_nothing(said, named):
    with raises_naming(ValueError, 'preferences', *named):
        normalised(said, TASKS)


def test_preferences_are_read_from_words():
    tasks = ['depth', 'seg']
    assert read_preferences(['seg=1', 'depth=0.3'], tasks) == dict(seg=1.0, depth=0.3)
    for word in ('seg', 'seg=', '=1', 'seg=high'):
        with raises_naming(ValueError, repr(word), 'TASK=NUMBER'):
            read_preferences([word], tasks)
    with raises_naming(ValueError, "'nope'", 'depth', 'seg'):
        read_preferences(['nope=1'], tasks)
    with raises_naming(ValueError, "'seg=2'", "'seg'", 'twice'):
        read_preferences(['seg=1', 'seg=2'], tasks)


def test_widths_of_decoders_by_equation_4():
    """0.6 + 0.4 times the preference, to the nearest of the set, of two the larger."""
    for preference, width in ((0, 0.6), (0.25, 0.7), (0.3, 0.7), (0.5, 0.8), (1, 1.0)):
        assert RATIOS[decoder_places(preference, [RATIOS])[0]] == width
    # Halfway between two, whatever a binary number makes of it.
    for preference, width in ((0.125, 0.7), (0.625, 0.9), (0.875, 1.0)):
        assert RATIOS[decoder_places(preference, [RATIOS])[0]] == width
    assert RATIOS[decoder_places(1.0, [RATIOS], lowered=0.5)[0]] == 0.8
    # Layers that have lost choices to rounding.
    assert decoder_places(0.5, [(0.6, 1.0), (0.6, 0.9, 1.0)]).tolist() == [1, 1]


def test_a_row_is_a_joint_spec_of_one_encoder():
    columns, rng = columns_of(), np.random.default_rng(0)
    for row in columns.sample(20, rng):
        joint = columns.joint(row)
        assert len({spec.root for spec in joint.values()}) == 1
        widths = [block.width for block in joint['depth'].stages[0].blocks]
        assert widths == [RATIOS[place] for place in row[:6]]
        part = joint['depth'].part('depth.decode_head')
        numbers = columns.decoders['depth']
        assert [b.width for b in part.stages[0].blocks] == [RATIOS[row[n]] for n in numbers]
        assert columns.row(joint).tolist() == row.tolist()
    mixed = dict(columns.joint(np.zeros(len(columns), int)))
    mixed['seg'] = columns.joint(columns.choices - 1)['seg']
    with raises_naming(ValueError, 'different backbones'):
        columns.row(mixed)


def test_a_cost_as_tables_is_the_cost():
    columns = columns_of()
    cost = multiply_adds(columns)
    tabled, rows = TabledCost(cost, columns.choices), columns.sample(200, np.random.default_rng(1))
    assert tabled.is_exact
    assert tabled(rows) == pytest.approx([cost(row) for row in rows])


@pytest.mark.parametrize('together', [3, 4])
def test_a_cost_of_some_widths_at_once_is_tabled(together):
    """As blocks have it that read, widen and write; beside widths that each count for itself."""
    choices = [3, 4, 2, 5, 3, 2][: together + 2]
    weights = np.random.default_rng(0).uniform(1, 2, choices[:together])

    def cost(row):
        return weights[tuple(row[:together])] + 3 * row[together] + row[1] * row[together + 1]

    tabled = TabledCost(cost, choices)
    rows = np.array(list(itertools.product(*map(range, choices))))
    assert tabled.is_exact
    np.testing.assert_allclose(tabled(rows), [cost(row) for row in rows], rtol=1e-12)


def test_a_cost_of_five_widths_at_once_is_asked_for():
    asked = []

    def cost(row):
        asked.append(tuple(row))
        return np.prod(row + 1)

    tabled = TabledCost(cost, [3] * 5)
    assert not tabled.is_exact
    rows = np.array([[2, 1, 0, 2, 2], [2, 1, 0, 2, 2]])
    before = len(asked)
    assert tabled(rows).tolist() == [54, 54]
    assert len(asked) <= before + 1


@pytest.fixture(scope='module')
def problem():
    columns = columns_of()
    return columns, TabledCost(multiply_adds(columns), columns.choices), losses_of(columns)


@pytest.mark.parametrize('share', [0.05, 0.3, 0.7, 1.0])
def test_what_is_found_fits_and_has_the_decoders_that_were_asked_for(problem, share):
    columns, cost, losses = problem
    least = cost(np.zeros((1, len(columns)), int))[0]
    most = cost(columns.choices[None] - 1)[0]
    prefer = normalised(dict(seg=1, depth=0.5, normals=0.25), TASKS)
    found = evolve(columns, cost, losses, least + share * (most - least), prefer)
    assert found.cost == cost(found.row[None])[0] <= least + share * (most - least)
    assert list(found.losses.values()) == pytest.approx(losses(found.row[None])[0].tolist())
    for task, expected in zip(TASKS, (1.0, 0.8, 0.7, 0.6)):
        widths = [RATIOS[found.row[number]] for number in columns.decoders[task]]
        lowered = 0.6 + (expected - 0.6) * found.lowered
        assert all(abs(width - lowered) <= 0.05 + 1e-9 for width in widths)
    assert found.lowered == 1 or share < 0.3
    again = evolve(columns, cost, losses, least + share * (most - least), prefer)
    assert again.row.tolist() == found.row.tolist()


def test_decoders_that_leave_no_encoder_are_lowered_together(problem):
    columns, cost, losses = problem
    least = cost(np.zeros((1, len(columns)), int))[0]
    prefer = dict.fromkeys(TASKS, 1.0)
    found = evolve(columns, cost, losses, least, prefer)
    assert found.lowered < 0.15 and not found.row.any()
    with raises_naming(InfeasibleBudget, f'{least - 1:,.6g}', f'{least:,.6g}') as error:
        evolve(columns, cost, losses, least - 1, prefer)
    assert error.value.least == least


def test_decoders_are_lowered_to_the_smallest_where_nothing_else_fits():
    """Of so many widths the second smallest is nearest already to a twentieth of the way."""
    columns = columns_of(decoder=1, ratios=tuple(np.linspace(0.5, 1, 41).tolist()))
    cost = lambda rows: rows.sum(1).astype(float)  # noqa: E731
    losses, prefer = losses_of(columns), dict.fromkeys(TASKS, 1.0)
    found = evolve(columns, cost, losses, 0.0, prefer)
    assert found.lowered == 0 == found.cost and not found.row.any()


def test_each_layer_reaches_its_largest_whatever_others_may_choose():
    """The first has two widths, and both are too expensive but the smaller one."""
    columns = columns_of(3, 3, ('seg',), ratios=((0.6, 1.0), RATIOS, RATIOS))
    cost = lambda rows: 1000.0 * rows[:, 0] + rows[:, 1:3].sum(1)  # noqa: E731
    losses = lambda rows: -rows[:, 1:3].sum(1, keepdims=True).astype(float)  # noqa: E731
    settings = Evolution(pool=2, cycles=200, seed=1)
    found = evolve(columns, cost, losses, 999.0, dict(seg=1.0), settings)
    assert found.row[:3].tolist() == [0, 4, 4]


def test_evolution_comes_near_the_best_encoder():
    """Of all 5^4 encoders, at a budget that leaves half of them out."""
    columns = columns_of(encoder=4, decoder=1, tasks=('seg', 'depth'))
    cost, losses = TabledCost(multiply_adds(columns), columns.choices), losses_of(columns)
    prefer = dict(seg=1.0, depth=0.0)
    rows = np.zeros((5**4, len(columns)), int)
    rows[:, :4] = list(itertools.product(range(5), repeat=4))
    rows[:, columns.decoders['seg'][0]] = 4
    budget = float(np.median(cost(rows)))
    best = losses(rows[cost(rows) <= budget])[:, 0].min()
    few, many = (
        evolve(columns, cost, losses, budget, prefer, Evolution(cycles=cycles)).losses['seg']
        for cycles in (0, 200)
    )
    assert best <= many <= few and many < best + 0.5


def test_the_preferred_task_decides_and_several_are_added_up(problem):
    columns, cost, _ = problem
    budget = float(cost(columns.choices[None] - 1)[0])

    def opposed(rows):
        own = rows[:, : columns.encoder].sum(1).astype(float)
        return np.stack([own, -own, -own, -own], 1)

    sizes = {}
    for name, scales in (('seg', [1, 1, 1, 1]), ('depth', [1, 1, 1, 1]), ('both', [1, 10, 1, 1])):
        prefer = dict.fromkeys(TASKS, 0.0)
        prefer |= {task: 1.0 for task in ('seg', 'depth') if name in (task, 'both')}
        settings = Evolution(pool=8, cycles=20)
        found = evolve(columns, cost, opposed, budget, prefer, settings, scales)
        sizes[name] = int(found.row[: columns.encoder].sum())
    assert sizes == dict(seg=0, depth=4 * columns.encoder, both=0)


def test_related_tasks_have_one_decoder_width(problem):
    columns, cost, losses = problem
    budget, prefer = 1e9, dict(seg=1.0, depth=0.5, normals=0.0, edges=0.0)
    found = evolve(columns, cost, losses, budget, prefer, alike=[('depth', 'normals')])
    widths = {task: {RATIOS[found.row[n]] for n in own} for task, own in columns.decoders.items()}
    assert widths == dict(seg={1.0}, depth={0.8}, normals={0.8}, edges={0.6})


def test_settings_that_cannot_be():
    for name in ('pool', 'layers'):
        with raises_naming(ValueError, name, '0'):
            Evolution(**{name: 0})
