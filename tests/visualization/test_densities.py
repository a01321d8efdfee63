"""The figure of what differs, layer by layer."""

import cv2
import pytest
from matplotlib.axes import Axes

from mdl_nas_mm.methods.computation_sharing.running import Density
from mdl_nas_mm.visualization import plot_densities


@pytest.fixture
def drawn(monkeypatch):
    """Labels of lines -> what they show."""
    found, plot = {}, Axes.plot

    def noting(self, values, **settings):
        found.setdefault(settings['label'], []).append(list(values))
        return plot(self, values, **settings)

    monkeypatch.setattr(Axes, 'plot', noting)
    return found


def test_each_task_has_its_three_lines(tmp_path, drawn):
    layers = [Density(f'{i}', 10, 0.1, 0.2 * i, 0.5) for i in range(4)]
    plot_densities(dict(depth=layers, edges=layers[:2]), tmp_path / 'a.png')
    assert [len(values) for values in drawn.values()] == [2, 2, 2]
    (to_base,) = (values for label, values in drawn.items() if 'S_a1' in label)
    assert to_base == [[each.task for each in layers], [each.task for each in layers[:2]]]
    assert cv2.imread(str(tmp_path / 'a.png')).std() > 0
