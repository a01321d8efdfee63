"""The source of a difference chosen by measured times."""

import pytest
import torch
from sharing_models import moving_patch, sub_task, swin, vit

from mdl_nas_mm.methods.computation_sharing.running import SharedComputation, SharingSettings
from mdl_nas_mm.methods.computation_sharing.running.parts import steps_of
from mdl_nas_mm.methods.computation_sharing.running.rows import RowExecution
from mdl_nas_mm.methods.computation_sharing.running.state import Pair
from mdl_nas_mm.methods.computation_sharing.running.times import RowTimes, Times

SETTINGS = SharingSettings('both', cost='times')


def tasks_of(build):
    base = build()
    return dict(a=base, b=sub_task(base, 1, first=0))


def given_times(monkeypatch, **fixed):
    found = RowTimes(1.0, dict(fixed), dict(base=0.0, frame=0.0))
    monkeypatch.setattr(Times, 'of', lambda *_: found)


@torch.no_grad()
def greatest_error(model, tasks, frames):
    state, worst = None, 0.0
    for frame in frames:
        outputs, state = model(frame, state)
        for task, backbone in tasks.items():
            for ours, theirs in zip(outputs[task], backbone(frame), strict=True):
                worst = max(worst, float((ours - theirs).abs().max()))
    return worst, state


@pytest.mark.parametrize('build', [vit, swin])
def test_it_is_exact_whatever_the_times_are(build):
    tasks = tasks_of(build)
    model = SharedComputation('a', tasks, SETTINGS)
    worst, _ = greatest_error(model, tasks, moving_patch(4))
    assert worst < 1e-9


@pytest.mark.parametrize('cheaper', ['base', 'frame'])
def test_the_source_that_takes_less_time_is_taken(monkeypatch, cheaper):
    given_times(monkeypatch, **{'base': 0.5, 'frame': 0.5, cheaper: 0.1})
    tasks = tasks_of(vit)
    model = SharedComputation('a', tasks, SETTINGS)
    # Gates that open for half of the rows: so that the base can be a source, of some.
    model.fit_gates(moving_patch(1)[0])
    torch.manual_seed(0)
    for gate in model.gates['b'].values():
        gate.bias.zero_()
        gate.weight.normal_()
    thresholds = dict(threshold=1.0, frame_threshold=1e-9)
    settings = SharingSettings('both', cost='times', attention='queries', **thresholds)
    state = None
    for frame in moving_patch(3):
        _, state = model(frame, state, settings=settings)
    sources = {each.source for each in state.work if each.task == 'b' and '.qkv' in each.part}
    assert sources == {cheaper}


def test_where_gathering_takes_longer_all_rows_are_computed(monkeypatch):
    tasks, frames = tasks_of(vit), moving_patch(2)
    settings = SharingSettings('frames', cost='times')
    found = {}
    for fixed in (0.5, 2.0):
        given_times(monkeypatch, base=fixed, frame=fixed)
        model = SharedComputation('a', tasks, settings)
        _, state = model(frames[0])
        _, state = model(frames[1], state)
        found[fixed] = sum(each.executed for each in state.work if not each.is_attention)
        whole = sum(each.whole for each in state.work if not each.is_attention)
    assert found[0.5] < found[2.0] == whole


def test_times_are_measured_once_a_shape_and_leave_all_as_it_is():
    base = vit(torch.float32)
    steps = steps_of(base, None, 2, (32, 32))
    first, second = (parts[0] for parts in list(steps.parts.values())[:2])
    rows = torch.randn(34, first.layers[0].weight.shape[1])
    pair = Pair(rows, first(rows))
    before, times = pair.copy(), Times(RowExecution({}, {}, 1.0).update)
    found = times.of(first, pair)
    assert torch.equal(pair.outputs, before.outputs)
    assert found.whole > 0 and times.of(second, pair) is found
    assert found.update(20, 'base') >= found.update(2, 'base') >= 0
