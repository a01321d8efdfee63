"""What is computed as a difference is what the separate models compute."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
from refusals import raises_naming
from sharing_models import moving_patch, sub_task, swin, vit

from mdl_nas_mm.families import ElasticResNet
from mdl_nas_mm.families.transformer.row_steps import RowNorm
from mdl_nas_mm.methods.computation_sharing import linear_layers
from mdl_nas_mm.methods.computation_sharing.running import (
    SharedComputation,
    SharingSettings,
    by_task,
    totals,
)
from mdl_nas_mm.methods.computation_sharing.running.elements import ElementExecution
from mdl_nas_mm.methods.computation_sharing.running.rows import RowExecution

BUILDERS = dict(
    ViT=vit,
    windows=lambda *args: vit(*args, window_size=3),
    Swin=swin,
)
REUSE = ('none', 'tasks', 'frames', 'both')


def three_tasks(build, dtype=torch.float64):
    """A base, a sub-task that differs in all blocks, and one that does in later ones."""
    base = build(dtype)
    return dict(a=base, b=sub_task(base, 1, first=0), c=sub_task(base, 2, first=2))


def shared(tasks, **settings):
    return SharedComputation('a', tasks, SharingSettings(**settings))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@torch.no_grad()
def greatest_error(model, tasks, frames, relative=False):
    """Of all tasks and frames, against the separate models."""
    state, worst = None, 0.0
    for frame in frames:
        outputs, state = model(frame, state)
        for task, backbone in tasks.items():
            for ours, theirs in zip(outputs[task], backbone(frame), strict=True):
                error = (ours - theirs).abs().max()
                worst = max(worst, float(error / theirs.abs().max() if relative else error))
    return worst


@pytest.mark.parametrize('execution', ['rows', 'elements'])
@pytest.mark.parametrize('reuse', REUSE)
@pytest.mark.parametrize('build', BUILDERS)
def test_without_thresholds_it_equals_the_separate_models(build, reuse, execution):
    frames = moving_patch(20 if reuse in ('frames', 'both') else 2)
    tasks = three_tasks(BUILDERS[build])
    model = shared(tasks, reuse=reuse, execution=execution)
    assert greatest_error(model, tasks, frames) < 1e-9


@pytest.mark.parametrize('execution', ['rows', 'elements'])
@pytest.mark.parametrize('build', ['ViT', 'Swin'])
def test_single_precision_stays_exact_over_a_video(build, execution):
    tasks = three_tasks(BUILDERS[build], torch.float32)
    model = shared(tasks, reuse='both', execution=execution)
    frames = [frame.float() for frame in moving_patch(20)]
    assert greatest_error(model, tasks, frames, relative=True) < 1e-4


@pytest.mark.parametrize(
    'changed',
    [
        *('patch_embed.proj.weight', 'cls_token', 'pos_embed', 'blocks.1.norm1.weight'),
        'blocks.1.attn.rel_pos_embed_k.embeddings_table_v',
    ],
)
def test_differences_beside_the_linear_layers_are_seen(changed):
    base = vit()
    sub = copy.deepcopy(base)
    parameter = sub.get_parameter(changed)
    # Norms would take the same number in all channels out again.
    parameter.data += 0.1 * torch.randn(parameter.shape, dtype=parameter.dtype)
    tasks = dict(a=base, b=sub)
    assert greatest_error(shared(tasks, reuse='both'), tasks, moving_patch(3)) < 1e-9


def change_of(execution, difference, threshold):
    """What an execution makes of a difference (R, C) from the frame before."""
    known = torch.randint(9, difference.shape).double()
    source = SimpleNamespace(is_base=False, pairs=dict(fc1=SimpleNamespace(inputs=known)))
    part = SimpleNamespace(name='fc1', differs=False)
    return execution.change(part, known + difference, source, threshold)


def test_a_row_has_changed_where_its_root_mean_square_is_above_the_threshold():
    difference = torch.zeros(4, 16, dtype=torch.float64)
    difference[1], difference[2], difference[3, 0] = 0.5, 0.25, 2
    mask = change_of(RowExecution({}, {}, dense=1.0), difference, 0.25)
    assert mask.tolist() == [False, True, False, True]
    # Half of the rows is as many as are gathered, one more is not.
    assert change_of(RowExecution({}, {}, dense=0.5), difference, 0.25) is not None
    assert change_of(RowExecution({}, {}, dense=0.5), difference, 0.125) is None


def test_elements_up_to_the_threshold_are_none():
    difference = torch.tensor([[0.5, -0.25, 0.25, -0.375]], dtype=torch.float64)
    found = change_of(ElementExecution({}), difference, 0.25)
    assert found.tolist() == [[0.5, 0, 0, -0.375]]


def random_masks(model, images, generator):
    """Task -> part -> rows."""
    work = model(images)[1].work
    masks = {}
    for each in work:
        if not each.is_attention and not each.part.endswith('.fc2'):
            rows = each.whole // model_products(model, each.part)
            drawn = torch.rand(rows, generator=generator) < 0.4
            masks.setdefault(each.task, {})[each.part] = drawn
    return masks


def model_products(model, part):
    layer = dict(model._backbones[0].named_modules())[part]
    both = layer.weight.numel()
    if part.endswith('.fc1'):
        both *= 2
    return both


@pytest.mark.parametrize('attention', ['exact', 'queries'])
@pytest.mark.parametrize('build', BUILDERS)
def test_both_executions_are_equal_for_given_rows(build, attention):
    tasks, frames = three_tasks(BUILDERS[build]), moving_patch(4)
    rows = shared(tasks, reuse='none', attention=attention)
    generator = torch.Generator().manual_seed(0)
    masks = [random_masks(rows, frame, generator) for frame in frames]
    for reuse in ('tasks', 'frames'):
        settings = dict(reuse=reuse, attention=attention, moved=1.0)
        by_rows = shared(tasks, execution='rows', **settings)
        by_elements = shared(tasks, execution='elements', **settings)
        states, differs = [None, None], False
        for frame, mask in zip(frames, masks):
            ours, states[0] = by_rows(frame, states[0], mask)
            theirs, states[1] = by_elements(frame, states[1], mask)
            exact = {task: backbone(frame) for task, backbone in tasks.items()}
            for task, i in itertools.product(tasks, range(len(ours['a']))):
                torch.testing.assert_close(ours[task][i], theirs[task][i], rtol=0, atol=1e-10)
                differs |= not torch.allclose(ours[task][i], exact[task][i], atol=1e-3)
        assert differs


@pytest.mark.parametrize('execution', ['rows', 'elements'])
@pytest.mark.parametrize('attention', ['exact', 'queries'])
@pytest.mark.parametrize('build', [vit, swin])
def test_error_grows_and_work_falls_with_the_threshold(execution, attention, build):
    errors, executed = [], []
    tasks, frames = three_tasks(build), moving_patch(3)
    for threshold in (0.0, 0.1, 1.0):
        model = shared(
            tasks,
            reuse='both',
            execution=execution,
            attention=attention,
            threshold=threshold,
        )
        model.fit_gates(torch.rand(8, 3, 32, 32, dtype=torch.float64))
        state, error, work = None, 0.0, []
        for frame in frames:
            outputs, state = model(frame, state)
            work += state.work
            error += sum(
                float((outputs[task][0] - backbone(frame)[0]).detach().abs().mean())
                for task, backbone in tasks.items()
            )
        errors.append(error)
        executed.append(totals(work).counted)
    assert errors == sorted(errors) and errors[-1] > errors[0]
    assert executed == sorted(executed, reverse=True) and executed[-1] < executed[0]


def test_the_base_needs_no_threshold_where_tasks_alone_are_shared():
    tasks, frame = three_tasks(vit), moving_patch(1)[0]
    threshold = dict(b=[0.0, 0.1, 0.2], c=0.1)
    outputs, _ = shared(tasks, reuse='tasks', threshold=threshold)(frame)
    torch.testing.assert_close(outputs['a'], tasks['a'](frame), rtol=0, atol=1e-12)
    with raises_naming(ValueError, 'threshold', "'a'"):
        model = shared(tasks, reuse='frames', threshold=threshold)
        model(frame, model(frame)[1])


def test_thresholds_are_of_blocks():
    """Of a Swin too, whose merging has that of the block before it."""
    tasks, frame = three_tasks(swin), moving_patch(1)[0]
    model = shared(tasks, reuse='tasks', execution='elements', threshold=[0, 0, 10.0, 10.0])
    found = {each.part: each for each in model(frame)[1].work if each.task == 'b'}
    late = [each for name, each in found.items() if name.startswith('stages.1.blocks')]
    assert all(each.density == 0 for each in late if not each.is_attention)
    assert found['stages.0.downsample.reduction'].density > 0


def test_what_does_not_differ_costs_nothing():
    tasks = dict(a=vit(), c=sub_task(vit(), first=2), same=vit())
    _, state = shared(tasks, reuse='tasks')(moving_patch(1)[0])
    assert by_task(state.work)['same'].executed == 0
    free = {each.part for each in state.work if each.task == 'c' and not each.executed}
    early = {f'blocks.{i}.{name}' for i in range(2) for name in ('attn.qkv', 'attn.proj')}
    assert early < free and not any(part.startswith('blocks.2') for part in free)


@torch.no_grad()
def test_a_gate_tells_rows_that_change_from_those_that_do_not():
    """On images that it has not seen: which of the base's inputs the weights matter for."""
    base = vit()
    sub = copy.deepcopy(base)
    name = 'blocks.1.attn.qkv'
    layer, theirs = (linear_layers(model)[name] for model in (sub, base))
    layer.weight[:, 0] += 2 * layer.weight.std()
    model = shared(dict(a=base, b=sub), reuse='both')
    images = torch.randn(24, 3, 32, 32, dtype=torch.float64)
    model.fit_gates(images[:16])
    assert set(model.gates['b']) == {name}
    inputs = model(images[16:])[1].pairs['a'][name].inputs
    changes = (inputs @ (layer.weight - theirs.weight).T).square().mean(dim=1).sqrt()
    found, half = model.gates['b'][name](inputs), len(inputs) // 2
    chosen, others = changes[found.argsort(descending=True)].split((half, len(inputs) - half))
    assert chosen.mean() > 1.2 * others.mean()


def test_a_model_is_cast_after_it_has_run():
    tasks, images = three_tasks(vit, torch.float32), torch.cat(moving_patch(4))
    model = shared(tasks, reuse='tasks', threshold=1e-3, attention='queries')
    model.fit_gates(images.float())
    model(images.float())
    outputs, _ = model.double()(images)
    anew = shared(tasks, reuse='tasks', threshold=1e-3, attention='queries')
    anew.gates = model.gates
    for task, expected in anew(images)[0].items():
        assert all(map(torch.equal, outputs[task], expected))


def test_a_key_frame_comes_in_time_and_when_much_has_moved():
    tasks, frames = three_tasks(vit), moving_patch(6)
    frames[4] = torch.rand_like(frames[4])
    model = shared(tasks, reuse='both', key_every=3)
    state, keys = None, []
    for frame in frames:
        _, state = model(frame, state)
        keys.append(state.is_key)
    assert keys == [True, False, False, True, True, True]
    # All rows of the fifth have changed, which is never more than all of them.
    model = shared(dict(a=vit(class_token=False)), reuse='frames', moved=1.0)
    assert model(frames[4], model(frames[3])[1])[1].is_key is False


def test_what_moves_leaves_nothing_until_it_stands():
    tasks, still = three_tasks(vit), moving_patch(4)
    generator = torch.Generator().manual_seed(1)
    moving = [torch.rand(still[0].shape, generator=generator).double() for _ in range(3)]
    frames = [*moving, *still]
    model = shared(tasks, reuse='frames')
    assert greatest_error(model, tasks, frames) < 1e-9
    state, facts, work = None, [], []
    for frame in frames:
        _, state = model(frame, state)
        facts.append((state.is_key, state.is_whole, len(state.copy().pairs['b'])))
        work.append(state.work)
    assert work[0] == work[1] == work[3] != work[5]
    parts = facts[0][2]
    whole, nothing = (True, True, parts), (True, False, 0)
    # The third still one is the first that takes something over.
    assert facts == [whole, nothing, nothing, nothing, whole, *2 * [(False, True, parts)]]


@pytest.mark.parametrize('reuse', ['frames', 'both'])
def test_inputs_of_the_first_part_are_normed_once(monkeypatch, reuse):
    """Whether a frame has moved is told by what is computed with, moved or not."""
    tasks, frames, norm, normed = three_tasks(vit), moving_patch(4), RowNorm.__call__, []
    frames[1:3] = [torch.rand_like(frame) for frame in frames[1:3]]
    first = tasks['a'].blocks[0].norm1.weight
    monkeypatch.setattr(
        RowNorm, '__call__', lambda own, rows: normed.append(own.weight) or norm(own, rows)
    )
    model, state = shared(tasks, reuse=reuse), None
    for frame in frames:
        normed.clear()
        _, state = model(frame, state)
        assert sum(weight is first for weight in normed) == 1


def test_a_frame_writes_into_the_state_before_it_but_not_into_a_copy():
    tasks, frames = three_tasks(vit), moving_patch(3)
    model = shared(tasks, reuse='both')
    _, first = model(frames[0])
    kept = first.copy()
    once, _ = model(frames[1], first)
    with raises_naming(ValueError, 'state', 'copy'):
        model(frames[2], first)
    again, state = model(frames[1], kept)
    assert all(torch.equal(*both) for task in tasks for both in zip(once[task], again[task]))
    assert state.bytes == sum(
        pair.inputs.nbytes + pair.outputs.nbytes
        for own in state.pairs.values()
        for pair in own.values()
    )


def test_a_state_of_another_model_or_size_is_refused():
    tasks, frame = three_tasks(vit), moving_patch(1)[0]
    model = shared(tasks)
    with raises_naming(ValueError, 'state', 'model'):
        model(frame, shared(tasks)(frame)[1])
    with raises_naming(ValueError, 'state', '2x3x32x32', '2x3x40x32'):
        model(torch.rand(2, 3, 40, 32, dtype=torch.float64), model(frame)[1])
    with raises_naming(ValueError, 'state', 'tuple'):
        model(frame, model(frame))


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (lambda frame: frame[0], ('(3, 32, 32)',)),
        (lambda frame: frame[:0], ('(0, 3, 32, 32)',)),
        (lambda frame: frame.numpy(), ('ndarray',)),
        (lambda frame: (255 * frame).byte(), ('uint8',)),
        (lambda frame: frame.half(), ('float16', 'float64')),
        (lambda frame: torch.cat([frame, frame[:, :1]], 1), ('4 channels', '3')),
    ],
)
def test_frames_that_are_none_are_refused(change, named):
    with raises_naming(ValueError, 'frame', *named):
        shared(three_tasks(vit))(change(moving_patch(1)[0]))


def test_a_base_of_another_architecture_or_size_is_refused():
    with raises_naming(ValueError, "'b'", 'ElasticSwin', 'ElasticViT'):
        shared(dict(a=vit(), b=swin()))
    with raises_naming(ValueError, "'b'", '(1, 26, 16)', '(1, 17, 16)'):
        shared(dict(a=vit(), b=vit(img_size=40)))
    with raises_naming(ValueError, "'b'", 'window_size', 3, 0):
        shared(dict(a=vit(), b=vit(window_size=3)))
    with raises_naming(ValueError, "'b'", 'pad_small_map', False, True):
        shared(dict(a=swin(), b=swin(pad_small_map=False)))
    with raises_naming(ValueError, "'a'", "'b'"):
        shared(dict(b=vit()))


def test_a_family_that_is_not_computed_row_by_row_is_refused():
    backbone = ElasticResNet(18, 'whole', base_channels=8, stem_channels=8).eval()
    with raises_naming(ValueError, 'ElasticResNet', 'Swin', 'ViT'):
        shared(dict(a=backbone))(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(reuse='all'), ('reuse', "'all'")),
        (dict(execution='dense'), ('execution', "'dense'")),
        (dict(attention='keys'), ('attention', "'keys'")),
        (dict(key_every=-1), ('key_every', -1)),
        (dict(key_every=1.5), ('key_every', 1.5)),
        (dict(moved=0), ('moved', 0)),
        (dict(moved='x'), ('moved', "'x'")),
        (dict(dense=1.5), ('dense', 1.5)),
        (dict(cost='watts'), ('cost', "'watts'")),
        (dict(cost='times', execution='elements'), ("'times'", "'elements'")),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, named):
    with raises_naming(ValueError, *named):
        SharingSettings(**settings)


@pytest.mark.parametrize(
    ('threshold', 'named'),
    [
        (-0.1, ("'a'", -0.1)),
        (float('nan'), ("'a'", 'nan')),
        (None, ("'a'", 'None')),
        ('exact', ("'a'", "'exact'")),
        ([0.1, float('nan'), 0.1], ("'a'", 'nan')),
        ([0.1, 0.1], ("'a'", 2, 3)),
        (dict(a=0.1, b=0.1), ("'c'",)),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(threshold, named):
    with raises_naming(ValueError, 'threshold', *named):
        shared(three_tasks(vit), threshold=threshold)(moving_patch(1)[0])
