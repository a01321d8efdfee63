"""Cosines of the tasks' gradients of what they share, against each task's by itself."""

import copy
import math
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch
from helpers import (
    build_runner,
    call_tool,
    joint_config,
    only,
    read_json,
    refusal_of_tool,
    write_config,
)
from mmengine.optim import OptimWrapper
from refusals import assert_names, raises_naming
from shared_images import (
    GROUP,
    TASKS,
    WEIGHTS,
    build,
    group_batch,
    model_config,
    optimizer_of,
    own_batch,
    places_of,
    plan_of,
)

from mdl_nas_mm.apis.conflicts import conflicts_of
from mdl_nas_mm.engine.conflicts import measure_conflicts, most_shared
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.visualization.conflicts import conflict_tables

TOGETHER, ALONE = (TASKS,), tuple((task,) for task in TASKS)
STEPS = (0, 3)


def measured(model, joint, pass_groups, **changes):
    wrapper, plan = OptimWrapper(optimizer_of(model)), replace(plan_of(pass_groups), **changes)
    batches = [{GROUP: [group_batch(step, 0, missing=True)]} for step in STEPS]
    return measure_conflicts(model, wrapper, batches, plan, joint)


def gradients(model, joint, step):
    """Task -> parameter of the backbone -> its gradient, one model a task."""
    found = {}
    for task in TASKS:
        own = copy.deepcopy(model)
        places = places_of(task, step, 0, missing=True)
        if places:
            data = own.preprocess(task, own_batch(task, step, 0, places))
            (WEIGHTS[task] * own.loss(task, joint[task], data)[0]).backward()
            found[task] = {n: p.grad for n, p in own.backbone.named_parameters()}
    return found


def taken(name, shape, ratio):
    """Which elements of a shared weight a task uses whose blocks share the first channels."""
    mask = torch.ones(shape, dtype=torch.bool)
    if not name.startswith('blocks.') or 'table' in name:
        return mask
    groups = 3 if '.qkv.' in name else 1
    channels = shape[0] // groups
    for j in range(shape[0]):
        mask[j] = j % channels < math.floor(ratio * channels + 0.5)
    return mask


def by_hand(model, joint, step):
    """(layer, pair or task) -> cosine or size."""
    found, ratios = {}, {t: s.stages[0].blocks[0].attn_share_ratio for t, s in joint.items()}
    if model.backbone.sharing['attn'].type == 'AllShared':
        ratios = dict.fromkeys(ratios, 1)
    grads = gradients(model, joint, step)
    names = [n for n in next(iter(grads.values())) if '.specific.' not in n]
    layers = {}
    for name in names:
        parts = name.split('.')
        layer = '.'.join(parts[:3] if parts[0] == 'blocks' else parts[:1])
        layers.setdefault(layer, []).append(name)
    layers['all layers'] = names
    for layer, names in layers.items():
        for i, a in enumerate(TASKS):
            if a not in grads:
                continue
            found[layer, a] = math.sqrt(sum(float((grads[a][n] ** 2).sum()) for n in names))
            for b in TASKS[i + 1 :]:
                if b in grads:
                    x, y = [], []
                    for n in names:
                        shape = grads[a][n].shape
                        both = taken(n, shape, ratios[a]) & taken(n, shape, ratios[b])
                        x += grads[a][n][both].tolist()
                        y += grads[b][n][both].tolist()
                    x, y = (torch.tensor(v, dtype=torch.float64) for v in (x, y))
                    found[layer, f'{a}, {b}'] = float(x @ y / (x.norm() * y.norm()))
    return found


@pytest.mark.parametrize(
    ('sharing', 'pass_groups'),
    [('AllShared', TOGETHER), ('Sequential', ALONE)],
    ids=['one', 'each'],
)
def test_they_are_those_of_each_task_by_itself(sharing, pass_groups):
    """Of an image group in one pass, and of tasks that share parts of different sizes."""
    model = build(model_config('ViT', sharing))
    space = model.backbone.space
    ends = (-1, 0, -1) if pass_groups is ALONE else (-1, -1, -1)
    joint = JointSpec({task: space.largest(end) for task, end in zip(TASKS, ends)})
    expected = [by_hand(copy.deepcopy(model), joint, step) for step in STEPS]
    before = {n: p.clone() for n, p in model.named_parameters()}
    found = measured(model, joint, pass_groups)
    assert found['steps'] == 2 and found['tasks'] == list(TASKS)
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in model.named_parameters())
    seen = set()
    for layer in (*found['layers'], found['whole']):
        for what, number in (*layer['cosine'].items(), *layer['size'].items()):
            key = layer['layer'], what
            values = [each[key] for each in expected if key in each]
            seen.add(key)
            assert number['count'] == len(values)
            assert number['mean'] == pytest.approx(fmean(values), rel=1e-7, abs=1e-10)
            if len(values) > 1:
                assert number['std'] == pytest.approx(stdev(values), rel=1e-6, abs=1e-10)
            else:
                assert number['std'] is None
    assert seen == set(expected[0]) | set(expected[1])
    # The last task has no label in the second step.
    assert found['whole']['cosine']['seg, edges']['count'] == 1
    rows = [table.row_count for table in conflict_tables(found)]
    assert rows == [len(found['layers']), len(TASKS)]


def test_a_task_with_more_batches_has_no_larger_gradient():
    model = build(model_config('ViT', 'AllShared'))
    joint = JointSpec(dict.fromkeys(TASKS, model.backbone.space.largest()))
    alike, unlike = (
        measured(model, joint, ALONE, shares=dict(zip(TASKS, shares)))['whole']
        for shares in ((1 / 3,) * 3, (0.6, 0.3, 0.1))
    )
    for what in ('size', 'cosine'):
        for name, number in alike[what].items():
            assert unlike[what][name]['mean'] == pytest.approx(number['mean'], rel=1e-6), name


@pytest.mark.parametrize(('sharing', 'end'), [('Sequential', -1), ('Mask', 0)])
def test_by_default_as_much_as_possible_is_shared(sharing, end):
    backbone = build(model_config('ViT', sharing)).backbone
    joint = most_shared(backbone, dict.fromkeys(TASKS, backbone.space))
    assert set(joint.values()) == {backbone.space.largest(end)}


def test_the_tool(data, tmp_path, monkeypatch, capsys):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    cfg.val_cfg = None
    build_runner(cfg, tmp_path / 'training').train()
    checkpoint = tmp_path / 'training' / 'iter_1.pth'
    config, folder = write_config(cfg, tmp_path / 'joint.py'), tmp_path / 'found'
    given = (config, '--checkpoint', checkpoint, '--work-dir', folder)
    call_tool(monkeypatch, 'conflicts', *given, '--steps', '2')
    out = capsys.readouterr().out
    assert 'cosine' in out and 'blocks.0.attn' in out and 'proposed.json' in out
    found = read_json(folder / 'conflicts.json')
    assert found['steps'] == 2 and (folder / 'conflicts.png').is_file()
    assert all(-1 <= pair['mean'] <= 1 for pair in found['whole']['cosine'].values())
    proposed = TRANSFORMER.read_joint(read_json(folder / 'proposed.json'))
    assert list(proposed) == ['cls', 'det', 'seg']
    call_tool(monkeypatch, 'conflicts', *given, '--steps', '2')
    assert read_json(folder / 'conflicts.json') == found
    absent = refusal_of_tool(monkeypatch, 'conflicts', *given, '--start-of', 'absent.py')
    assert_names(absent, 'absent.py')
    # Of given architectures, these are looked at.
    smallest = SearchSpace.from_config(cfg.backbone.space, TRANSFORMER).smallest()
    fixed = copy.deepcopy(cfg)
    fixed.train_cfg.pop('sampler')
    fixed.search_cfg = None
    fixed.joint_spec = {task: smallest.to_dict() for task in cfg.tasks}
    of_given = conflicts_of(fixed, checkpoint, 1)['joint_spec']
    assert set(TRANSFORMER.read_joint(of_given).values()) == {smallest}
    assert smallest not in TRANSFORMER.read_joint(found['joint_spec']).values()
    with raises_naming(ValueError, 'conflicts', 0):
        conflicts_of(cfg, checkpoint, 0)
    with raises_naming(ValueError, 'conflicts', 'tasks'):
        conflicts_of(only(cfg, 'cls'), checkpoint)
