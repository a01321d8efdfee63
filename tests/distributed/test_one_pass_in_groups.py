"""Any number of processes trains tasks on the same images as one process does, and as K passes."""

from datetime import timedelta

import pytest
import torch
from distributed.processes import run_processes
from refusals import raises_naming
from shared_images import (
    GROUP,
    IMAGES,
    TASKS,
    WEIGHTS,
    build,
    group_batch,
    k_passes,
    model_config,
    one_pass,
    optimizer_of,
)

from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.balancing import GradientAggregation
from mdl_nas_mm.engine.grad_sync import GradientReducer
from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.engine.labels import Labelled, count_labels
from mdl_nas_mm.engine.launch import start_processes
from mdl_nas_mm.engine.losses import LossGatherer
from mdl_nas_mm.engine.plan import StepPlan

pytestmark = pytest.mark.distributed
STEPS = 5
PASS_GROUPS = dict(AllShared=(TASKS,), Sequential=tuple((task,) for task in TASKS))


def train(
    world_size, backbone, sharing, batches, path, aggregator=None, grad_norms=False, missing=True
):
    """Five steps of one of the processes; the first one writes what it has."""
    timeout = timedelta(seconds=60)
    start_processes('pytorch', timeout)
    assignment = assign_ranks(TASKS, {GROUP: batches}, world_size, {GROUP: TASKS})
    assert set(assignment.ranks.values()) == {tuple(range(world_size))}
    ranks = TaskGroups.make(assignment, timeout)
    model = build(ranks.own_part(model_config(backbone, sharing)))
    reducer = None
    if world_size > 1:
        sets = [(own, ranks.group_of(o)) for o, own in model.parameters_by_owners().items()]
        reducer = GradientReducer(sets, bucket_bytes=2000)
    sizes, gather, logs = dict.fromkeys(TASKS, IMAGES), LossGatherer(ranks), []
    given = (assignment, ranks.rank, sizes, WEIGHTS, 0, {GROUP: PASS_GROUPS[sharing]})
    plan, optimizer = StepPlan.make(*given), optimizer_of(model)
    balance = aggregator and GradientAggregation(TASKS, dict(type=aggregator))
    for step in range(STEPS):
        own = [group_batch(step, p.batch, missing, p.part, p.parts) for p in plan.parts[TASKS[0]]]
        given = {GROUP: own}
        more = dict(labelled=count_labels(given, ranks), reducer=reducer, balance=balance)
        more['grad_norms'] = grad_norms and step % 2 == 1
        passes = one_pass(model, optimizer, step, plan, given, **more)
        logs.append({name: float(value) for name, value in gather(passes.losses).items()})
    if ranks.rank == 0:
        torch.save((model.state_dict(), logs), path)


@pytest.mark.parametrize(
    ('backbone', 'sharing', 'batches', 'missing'),
    [
        ('ViT', 'AllShared', 1, True),
        ('ViT', 'AllShared', 1, False),
        ('Swin', 'AllShared', 2, True),
        ('ViT', 'Sequential', 2, True),
        ('Swin', 'Sequential', 1, True),
        ('Swin', 'Sequential', 2, False),
        ('ResNet', 'AllShared', 2, True),
    ],
)
def test_one_two_and_three_processes(backbone, sharing, batches, missing, tmp_path):
    """With one batch it is cut into parts, with two a process has one, or a part of one."""
    model = build(model_config(backbone, sharing))
    optimizer = optimizer_of(model)
    expected = [k_passes(model, optimizer, step, missing, batches) for step in range(STEPS)]
    assert ('edges' not in expected[3]) == missing
    for world_size in (1, 2, 3):
        path = tmp_path / f'{world_size}.pth'
        args = (world_size, backbone, sharing, batches, path, None, False, missing)
        run_processes(world_size, train, *args, folder=tmp_path / str(world_size))
        state, logs = torch.load(path, weights_only=False)
        for key, value in model.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=1e-6, atol=1e-9)
        for step, losses in enumerate(expected):
            own = {t: logs[step].get(f'{t}/loss') for t in TASKS}
            # Several processes exchange losses in single precision.
            assert {t: v for t, v in own.items() if v is not None} == pytest.approx(losses, 1e-6)
            assert logs[step]['loss'] == pytest.approx(sum(losses.values()), 1e-6)


@pytest.mark.parametrize(
    ('backbone', 'sharing', 'batches', 'aggregator'),
    [
        ('ViT', 'AllShared', 1, 'PCGrad'),
        ('Swin', 'AllShared', 2, 'UPGrad'),
        ('ViT', 'Sequential', 2, 'UPGrad'),
    ],
)
def test_aggregated_gradients(backbone, sharing, batches, aggregator, tmp_path):
    """Also where a process has no label of a task, and with an order of the tasks that is drawn."""
    pytest.importorskip('torchjd.aggregation')
    ends = []
    for world_size in (1, 2, 3):
        path = tmp_path / f'{world_size}.pth'
        args = (world_size, backbone, sharing, batches, path, aggregator)
        run_processes(world_size, train, *args, folder=tmp_path / str(world_size))
        ends.append(torch.load(path, weights_only=False))
    (state, logs), *others = ends
    norms = {f'{task}/grad_norm' for task in TASKS}
    assert norms <= logs[0].keys() and norms & logs[3].keys() == norms - {'edges/grad_norm'}
    for other, of_steps in others:
        for key, value in state.items():
            torch.testing.assert_close(other[key], value, rtol=1e-6, atol=1e-9)
        for expected, found in zip(logs, of_steps, strict=True):
            assert found == pytest.approx(expected, 1e-5)


def count():
    """The second of two processes has no label of one task in its part of a batch."""
    timeout = timedelta(seconds=60)
    start_processes('pytorch', timeout)
    ranks = TaskGroups.make(assign_ranks(TASKS, None, 2, {GROUP: TASKS}), timeout)
    batch = group_batch(0, 0, False, ranks.rank, 2)
    if ranks.rank:
        batch.batches['edges'], batch.places['edges'] = None, ()
    found = count_labels({GROUP: [batch]}, ranks, ['seg', 'parts'])
    assert found['seg'] == Labelled(IMAGES) and found['edges'] == Labelled(1, in_all_parts=False)
    with raises_naming(ValueError, "'edges'", 'SyncBN'):
        count_labels({GROUP: [batch]}, ranks, ['edges'])


def test_labels_are_counted_over_the_processes(tmp_path):
    run_processes(2, count, folder=tmp_path)


def test_norms_of_gradients(tmp_path):
    """They are those of a single process, in the steps that measure them, and change no weight."""
    args, ends = ('ViT', 'AllShared', 2), []
    for world_size, measured in ((1, False), (1, True), (3, True)):
        path, folder = tmp_path / 'end.pth', tmp_path / f'{world_size}-{measured}'
        run_processes(world_size, train, world_size, *args, path, None, measured, folder=folder)
        ends.append(torch.load(path, weights_only=False))
    (expected, _), (_, alone), _ = ends
    names = {f'{task}/grad_norm' for task in TASKS}
    assert [len(names & log.keys()) for log in alone] == [0, 3, 0, 2, 0]
    for state, log in ends[1:]:
        for key, value in expected.items():
            torch.testing.assert_close(state[key], value, rtol=1e-6, atol=1e-9)
        for found, of_step in zip(log, alone, strict=True):
            assert found == pytest.approx(of_step, 1e-5)
