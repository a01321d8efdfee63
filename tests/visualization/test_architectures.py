"""The picture of a joint spec: a bar for each block of each task, and what one file saves."""

import random

import pytest

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import Counts, JointSpec, SearchSpace
from mdl_nas_mm.visualization import plot_joint_spec
from mdl_nas_mm.visualization.chart import Chart

SPACE = dict(embed_dim=64, depth=(2, 3), num_heads=(1, 2), mlp_ratio=(2, 3), share_ratio=(0.5, 0.9))
COUNTS = Counts(
    shared=1_000_000,
    specific=dict(cls=100_000, det=200_000),
    heads=dict(cls=10, det=20),
    backbones=dict(cls=900_000, det=1_100_000),
)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The joint spec, and the chart that was written of it."""
    space = SearchSpace.from_config(SPACE, TRANSFORMER)
    joint = JointSpec(
        {task: space.sample(random.Random(i)) for i, task in enumerate(COUNTS.backbones)}
    )
    charts, write = [], Chart.write_png
    monkeypatch.setattr(
        Chart, 'write_png', lambda self, path: (charts.append(self), write(self, path))
    )
    plot_joint_spec(joint, COUNTS, tmp_path / 'joint.png')
    assert (tmp_path / 'joint.png').read_bytes().startswith(b'\x89PNG')
    return joint, charts[0]


def test_every_block_of_every_task_has_a_bar(drawn):
    joint, chart = drawn
    heads = next(axes for axes in chart.axes if axes.get_title() == 'heads')
    for spec, bars in zip(joint.values(), heads.containers, strict=True):
        blocks = [block for stage in spec.stages for block in stage.blocks]
        assert [bar.get_height() for bar in bars] == [block.num_heads for block in blocks]


def test_sizes_are_those_of_one_file_and_of_separate_models(drawn):
    _, chart = drawn
    ends = {}
    for bar in (bar for container in chart.axes[-1].containers for bar in container):
        place = round(bar.get_x() + bar.get_width() / 2)
        ends[place] = max(ends.get(place, 0), bar.get_y() + bar.get_height())
    assert ends[0] == pytest.approx(COUNTS.backbone_total / 1e6)
    assert ends[1] == pytest.approx(COUNTS.backbone_separate / 1e6)


def test_the_legend_names_tasks_and_what_they_share(drawn):
    joint, chart = drawn
    (legend,) = chart.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*joint, 'shared']
