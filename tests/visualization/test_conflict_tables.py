"""Tables and the picture of conflicts, for any number of tasks."""

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from mdl_nas_mm.visualization.conflict_picture import plot_conflicts
from mdl_nas_mm.visualization.conflicts import conflict_tables


def made(count, seed=0):
    """Conflicts of some tasks, random; the last pair shares nothing of the first layer."""
    rng = np.random.default_rng(seed)
    tasks = [f'segment_unsup{i}d' for i in range(count)]

    def layer(name, pairs):
        cosine = {', '.join(pair): number(rng.uniform(-1, 1)) for pair in pairs}
        size = {task: number(rng.uniform(0, 2)) for task in tasks}
        return dict(layer=name, role='attn', cosine=cosine, size=size)

    def number(mean):
        return dict(mean=float(mean), std=0.125, count=3)

    pairs = list(combinations(tasks, 2))
    layers = [layer('blocks.0.attn', pairs[:-1] or pairs), layer('blocks.1.attn', pairs)]
    return dict(tasks=tasks, steps=3, layers=layers, whole=layer('all', pairs))


def shown(tables):
    """What a terminal of 100 columns shows."""
    file = io.StringIO()
    Console(file=file, width=100).print(*tables)
    return file.getvalue()


@pytest.mark.parametrize('count', [2, 3, 4, 16])
def test_no_number_is_cut_off_whatever_the_number_of_tasks(count):
    conflicts = made(count)
    text = shown(conflict_tables(conflicts))
    assert '…' not in text
    for layer in conflicts['layers']:
        means = [each['mean'] for each in layer['cosine'].values()]
        expected = means if count < 4 else (np.mean(means), min(means), max(means))
        assert all(f'{mean:+.3f}' in text for mean in expected)


def test_of_all_layers_each_task_has_its_extremes():
    conflicts = made(5)
    whole, name = conflicts['whole'], conflicts['tasks'][2]
    own = {pair: each['mean'] for pair, each in whole['cosine'].items() if name in pair}
    assert len(own) == 4
    _, table = conflict_tables(conflicts)
    task, size, mean, lowest, highest = (list(column.cells)[2] for column in table.columns)
    assert task == name and size == f'{whole["size"][name]["mean"]:.3g} ± 0.125'
    assert float(mean) == pytest.approx(np.mean(list(own.values())), abs=5e-4)
    for found, extreme in ((lowest, min), (highest, max)):
        pair = extreme(own, key=own.get)
        (other,) = {*pair.split(', ')} - {name}
        assert found == f'{own[pair]:+.3f} ± 0.125 ({other})'


@pytest.mark.parametrize('count', [2, 16])
def test_the_picture(count, tmp_path):
    conflicts = made(count)
    plot_conflicts(conflicts, tmp_path / 'a.png')
    first = imread(tmp_path / 'a.png')
    # What nobody reaches has no gradient.
    conflicts['layers'][1]['size'][conflicts['tasks'][0]]['mean'] = 0.0
    conflicts['layers'][1]['cosine'].clear()
    plot_conflicts(conflicts, tmp_path / 'b.png')
    second = imread(tmp_path / 'b.png')
    assert second.std() > 0 and (first.shape != second.shape or (first != second).any())
