"""Budgets in milliseconds, by latency tables whose numbers are made up."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import raises_naming
from slim_space import chain

from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.methods.ecmt import Controller, InfeasibleBudget
from mdl_nas_mm.methods.ecmt.costs import milliseconds
from mdl_nas_mm.methods.ecmt.tables import chosen_table
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.budgets import MILLISECONDS

STAGE = dict(embed_dim=(8, 12), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2))
VIT = dict(type='ElasticViT', img_size=32, patch_size=16, head_dim=4, space=dict(STAGE))
SWIN = dict(
    type='ElasticSwin',
    space=[STAGE, dict(STAGE, embed_dim=(10, 16), per_stage=True)],
    out_indices=(1,),
    head_dim=4,
    window_size=3,
    pad_small_map=True,
)
RESNET = dict(
    type='ElasticResNet',
    depth=18,
    base_channels=10,
    stem_channels=10,
    space=dict(width_ratio=(0.6, 0.8, 1.0)),
)
SIZE = dict.fromkeys(('seg', 'depth'), (32, 32))


def encoder_of(config):
    """A model with nothing but an encoder, and the columns of two tasks with decoders."""
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        backbone = MODELS.build(dict(config, sharing='AllShared'))
    spaces = {t: backbone.space.with_parts({f'{t}.decode_head': chain(2)}) for t in SIZE}
    return SimpleNamespace(backbone=backbone), JointColumns(spaces)


def table_of(model, columns, path, size=SIZE['seg'], missing=0):
    """Writes a table of random times, without some of its parts."""
    timing = Timing.of(model.backbone, 'seg', size)
    parts = timing.timed.all_parts(columns.spaces['seg'].root)[missing:]
    times = np.random.default_rng(0).uniform(1, 3, len(parts))
    LatencyTable(timing, dict(zip(parts, times.tolist()))).save(path)
    return LatencyTable.load(path)


@pytest.mark.parametrize('config', [RESNET, VIT, SWIN], ids=lambda config: config['type'])
def test_an_encoder_takes_what_its_parts_take(config, tmp_path):
    model, columns = encoder_of(config)
    table = table_of(model, columns, tmp_path / 'table.json')
    cost = milliseconds(model, columns, SIZE, table)
    assert all(tabled.is_exact for _, tabled in cost.parts)
    rows = columns.sample(20, np.random.default_rng(1))
    expected = [table.predict(columns.spec('seg', row).root) for row in rows]
    np.testing.assert_allclose(cost(rows), expected, rtol=1e-9)
    # Once for all tasks, whatever their decoders are.
    rows[:, columns.encoder :] = 0
    np.testing.assert_allclose(cost(rows), expected, rtol=1e-9)


def test_what_any_task_runs_of_a_tree_counts(tmp_path):
    stage = dict(STAGE, window_side=2)
    config = dict(
        type='ElasticSwinUNet',
        space=[stage] * 2 + [dict(stage, depth=1)] * 2,
        head_dim=4,
        tasks=('seg', 'depth'),
        skeletons=dict(seg=['e1'], depth=['d2.1']),
    )
    model, columns = encoder_of(config)
    table = table_of(model, columns, tmp_path / 'table.json')
    cost = milliseconds(model, columns, SIZE, table)
    rows = columns.sample(6, np.random.default_rng(0))
    for row, found in zip(rows, cost(rows)):
        root = columns.spec('seg', row).root
        both = model.backbone.needed(('seg', 'depth'), root)
        assert [bool(own.blocks) for own in both.stages].count(True) == 3
        assert found == pytest.approx(table.predict(both))
        assert found > table.predict(model.backbone.needed(('seg',), root))


def test_a_budget_in_milliseconds_is_kept(tmp_path):
    model, columns = encoder_of(RESNET)
    table = table_of(model, columns, tmp_path / 'table.json')
    cost = milliseconds(model, columns, SIZE, table)
    rows = columns.sample(40, np.random.default_rng(0))
    losses = 5 - np.stack([columns.encoded(rows)[:, columns.of_task(t)].mean(1) for t in SIZE], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=5))
    controller = Controller(columns, predictor, {MILLISECONDS: cost})
    least = float(cost(0 * rows[:1])[0])
    budget = float(np.median(cost(rows)))
    found = controller.configure(f'{budget:.6f}ms', dict(seg=1))
    assert found.unit == MILLISECONDS and found.cost <= budget + 1e-6
    assert found.cost == pytest.approx(table.predict(found.joint['seg'].root))
    assert found.joint['seg'].root == found.joint['depth'].root
    assert any('heads' in line for line in found.lines())
    with raises_naming(InfeasibleBudget, MILLISECONDS, f'{least:,.6g}'):
        controller.configure('1ms')


def test_tables_of_something_else_are_refused(tmp_path):
    model, columns = encoder_of(RESNET)
    path = tmp_path / 'table.json'
    for found, named in (
        (table_of(model, columns, path, size=(64, 32)), ('input_size', (64, 32), (32, 32))),
        (table_of(model, columns, path, missing=1), ('misses', 'stem')),
        (table_of(*encoder_of(VIT), path), ('family',)),
    ):
        with raises_naming(ValueError, path, *named):
            milliseconds(model, columns, SIZE, found)
    with raises_naming(FileNotFoundError, tmp_path / 'none.json'):
        chosen_table((), tmp_path / 'none.json')
