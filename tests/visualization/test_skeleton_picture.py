"""The picture of where tasks leave a tree of cells."""

import itertools

import pytest
from matplotlib.patches import FancyBboxPatch

from mdl_nas_mm.families.swin_unet import CELLS, Skeleton
from mdl_nas_mm.visualization import skeletons as pictures


@pytest.mark.parametrize(
    'names',
    [
        ['d3.1'],
        ['e1+e2+e3+e4', 'e4+d2.1+d3.2+d4.3', 'e1', 'e3+e4+d3.2+d3.1'] * 4,
        list(CELLS),
    ],
    ids=['one task', 'sixteen tasks', 'every cell'],
)
def test_nothing_is_written_on_anything_else(tmp_path, monkeypatch, names):
    drawn = []
    monkeypatch.setattr(pictures.plt, 'close', drawn.append)
    chosen = {
        f'segmentation_of_the_streets_{i}': Skeleton.parse(name) for i, name in enumerate(names)
    }
    pictures.plot_skeletons(chosen, tmp_path / 'a.png')
    monkeypatch.undo()
    (figure,) = drawn
    (axes,) = figure.axes
    texts = {text: text.get_window_extent() for text in axes.texts}
    boxes = [patch.get_window_extent() for patch in axes.patches if type(patch) is FancyBboxPatch]
    assert len(boxes) == len(CELLS)
    for one, other in itertools.combinations(texts.values(), 2):
        assert not one.overlaps(other)
    for text, place in texts.items():
        assert figure.bbox.x0 <= place.x0 and place.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= place.y0 and place.y1 <= figure.bbox.y1, text
        for box in boxes:
            is_inside = box.x0 <= place.x0 and place.x1 <= box.x1
            assert is_inside or not place.overlaps(box), text
    written = '\n'.join(text.get_text() for text in texts).splitlines()
    for task, skeleton in chosen.items():
        leaves = written.count(task)
        owned_alone = sum(
            [task] == [t for t, s in chosen.items() if cell in s.cells] for cell in CELLS
        )
        assert leaves == len(skeleton.outputs) + (owned_alone if len(chosen) > 1 else 0)
    pictures.plt.close(figure)
