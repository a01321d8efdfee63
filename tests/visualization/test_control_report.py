"""The report of controllability: complete, escaped, and in need of nothing from elsewhere."""

import json

import numpy as np
import pytest
from refusals import raises_naming
from visualization.test_search_report import LONG, Page

from mdl_nas_mm.visualization import read_beside, write_control_report
from mdl_nas_mm.visualization.control_figures import undominated

CASES = {'three tasks': ('seg', 'depth', 'normals'), 'many': [f'{LONG} {i}' for i in range(6)]}


def report_of(tasks, points=12):
    """What ``controllability`` gives, of drawn losses."""
    rng = np.random.default_rng(0)

    def point(cost, **more):
        return dict(cost=cost, losses={t: float(rng.uniform(1, 3)) for t in tasks}, **more)

    def of_tasks(draw):
        return {task: float(draw()) for task in tasks}

    return dict(
        tasks=list(tasks),
        unit='multiply-adds',
        budget='10G',
        reference=[4.0] * len(tasks),
        points=[
            point(5e9 + 1e8 * i, preferences=of_tasks(rng.random), predicted=of_tasks(rng.random))
            for i in range(points)
        ],
        extremes=[point(2e10), point(3e9)],
        uniform=[point(4e9), point(8e9)],
        hypervolume=12.5,
        uniform_hypervolume=11.25,
        largest_hypervolume=10.75,
        marginal={
            task: [
                dict(preference=0.1, loss=2.0, points=7),
                dict(preference=0.9, loss=1.5, points=5),
            ]
            for task in tasks
        },
        control_parameters=19454,
    )


def beside_of(tasks):
    return [
        dict(kind='multi-task', name='<static>', cost=6e9, losses=dict.fromkeys(tasks, 1.625)),
        dict(kind='single-task', cost=7e9, losses={tasks[0]: 1.375}),
    ]


@pytest.mark.parametrize('tasks', CASES.values(), ids=CASES)
def test_the_page_says_what_was_found(tasks, tmp_path):
    report = json.loads(json.dumps(report_of(tasks)))
    file = write_control_report(report, tmp_path / 'new', beside_of(tasks))
    page = Page(file.read_text())
    for task in tasks:
        assert task in page.text
    for value in ('12.5', '11.25', '10.75', '19,454', '10G'):
        assert value in page.text
    for point in (*report['points'], *report['extremes'], *report['uniform']):
        for task, loss in point['losses'].items():
            assert f'{loss:.4f}' in page.text
            wanted = point.get('preferences', {}).get(task)
            assert wanted is None or f'{task}: {loss:.4f}, preference {wanted:.2f}' in page.text
    assert '<static>' in page.text and '1.6250' in page.text and '1.3750' in page.text
    assert not {'script', 'img', 'iframe', 'b>long', 'static'} & {tag for tag, _ in page.elements}
    ids = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))
    pairs = len(tasks) * (len(tasks) - 1) // 2
    assert (f'6 of {pairs} pairs' in page.text) == (pairs > 6)


def test_what_no_other_point_beats():
    points = [(1.0, 3.0), (2.0, 2.0), (2.0, 2.0), (2.5, 2.5), (3.0, 1.0), (1.0, 4.0)]
    assert undominated(points) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]


@pytest.mark.parametrize(
    ('point', 'named'),
    [
        (dict(kind='other', cost=1, losses={}), ['point 1', 'multi-task']),
        (dict(kind='multi-task', cost=1), ['point 1', 'losses']),
        (dict(kind='multi-task', cost='1G', losses={}), ['point 1', 'cost', "'1G'"]),
        (dict(kind='single-task', cost=1, losses=dict(nope=1)), ['point 1', "'nope'"]),
        (3, ['point 1']),
    ],
)
def test_points_that_mean_nothing(point, named, tmp_path):
    file = tmp_path / 'points.json'
    file.write_text(json.dumps([*beside_of(('seg',))[:1], point]))
    with raises_naming(ValueError, file, *named):
        read_beside(file, ('seg', 'depth'))
    file.write_text('{}')
    with raises_naming(ValueError, file, 'list'):
        read_beside(file, ('seg',))
    with raises_naming(FileNotFoundError, 'absent'):
        read_beside(tmp_path / 'absent', ('seg',))
