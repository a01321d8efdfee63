"""Necks and heads of which tasks share some output channels, against models that share nothing."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import TASKS, build_model, build_runner, differences, joint_config
from mmengine.logging import MMLogger
from shared_pyramid import LABEL, PYRAMID, with_pyramids, with_shared_pyramid
from torch import nn

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.engine.checkpoint import load_weights
from mdl_nas_mm.registry import MODELS, SHARING_POLICIES
from mdl_nas_mm.search import check_search
from mdl_nas_mm.sharing import SharingKind
from mdl_nas_mm.sharing.shared_rows import SharedRows, layers_by_channels
from mdl_nas_mm.spec import JointSpec, Owners, shared_count
from mdl_nas_mm.spec.owners import backbone_scores, owners_of, part_scores
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

NECK = f'parts.{LABEL}.neck.'
OWN = {task: f'tasks.{task}.neck.' for task in ('det', 'seg')}
RATIO = 0.7
MASKS = {t: dict(type='Mask', threshold=t) for t in ('score', 'ratio')}
SHARINGS = {'Sequential': dict(type='Sequential'), **MASKS}


def partly_shared(data, changes=None, sharing='Sequential'):
    """The pyramid of both tasks by output channels."""
    cfg = with_shared_pyramid(data, changes)
    cfg.parts.pyramid.update(sharing=SHARINGS[sharing], share_ratio=RATIO)
    return cfg


def is_transposed(name):
    """Of the pyramid's modules, those that enlarge maps."""
    module, path = MODELS.build(PYRAMID), name.rpartition('.')[0]
    return name.endswith('weight') and isinstance(module.get_submodule(path), nn.ConvTranspose2d)


def shared_channels(state, sharing):
    """Name of a shared parameter -> which of its output channels are, as the papers say it."""
    found = {}
    for key, weight in state.items():
        if key.startswith(NECK) and not key.endswith('.score'):
            channels = weight.shape[int(is_transposed(key.removeprefix(NECK)))]
            scores = state.get(f'{key.rpartition(".")[0]}.score')
            if sharing == 'Sequential':
                chosen = np.arange(channels) < int(RATIO * channels + 0.5)
            elif sharing == 'score':
                chosen = scores.numpy() >= RATIO
            else:
                best = sorted(range(channels), key=lambda i: -scores[i])
                chosen = np.isin(np.arange(channels), best[: int(RATIO * channels + 0.5)])
            found[key] = chosen
    return found


def merged(state, sharing, task):
    """The pyramid of a task, put together row by row."""
    weights = {}
    for key, chosen in shared_channels(state, sharing).items():
        name = key.removeprefix(NECK)
        shared, own = state[key].numpy(), state[OWN[task] + name].numpy()
        if is_transposed(name):
            shared, own = shared.swapaxes(0, 1), own.swapaxes(0, 1)
        rows = np.stack([shared[i] if chosen[i] else own[i] for i in range(len(chosen))])
        weights[name] = torch.from_numpy(rows.swapaxes(0, 1) if is_transposed(name) else rows)
    return weights


def unshared(state, sharing):
    """The entries of a model in which each task has the pyramid that it uses."""
    found = {k: v.clone() for k, v in state.items() if not k.startswith('parts.')}
    for task, prefix in OWN.items():
        found.update({prefix + n: w.clone() for n, w in merged(state, sharing, task).items()})
    return found


@pytest.fixture(scope='module', params=SHARINGS)
def both(request, data):
    """The kind of sharing, a model with it, and one whose tasks have the same pyramids each."""
    model = build_model(partly_shared(data, sharing=request.param))
    with torch.no_grad():
        for parameter in model.parts.parameters():
            # Shared and own weights differ, so that it matters which are used.
            parameter.copy_(torch.rand_like(parameter))
    apart = build_model(with_pyramids(data))
    apart.load_state_dict(unshared(model.state_dict(), request.param))
    return request.param, model, apart


def test_names_say_whose_channels_they_are(both):
    sharing, model, _ = both
    names = {name for name, _ in MODELS.build(PYRAMID).named_parameters()}
    state = model.state_dict()
    shared = {k.removeprefix(NECK) for k in state if k.startswith(NECK)}
    scores = {f'{name.rpartition(".")[0]}.score' for name in names}
    assert shared == names | (scores if sharing in MASKS else set())
    assert all(owners_of(NECK + name) == Owners.of('det', 'seg') for name in shared)
    for task, prefix in OWN.items():
        assert names <= {k.removeprefix(prefix) for k in state if k.startswith(prefix)}
        assert owners_of(prefix + 'x') == Owners.of(task)
    chosen = shared_channels(state, sharing)
    assert any(c.any() and not c.all() for c in chosen.values())


def test_tasks_answer_as_models_with_merged_pyramids(data, both):
    _, model, apart = both
    cfg = resolve_joint_config(with_pyramids(data))
    for task in TASKS:
        loader = build_train_loader(task, model.scopes[task], cfg.train_dataloader[task], 0)
        batch, spec = next(iter(loader)), model.backbone.space.largest()
        losses = []
        for one in (model, apart, copy.deepcopy(model)):
            one.eval()
            torch.manual_seed(0)
            losses.append(one.loss(task, spec, one.preprocess(task, copy.deepcopy(batch)))[1])
        assert differences(losses[0], losses[1]) == differences(losses[0], losses[2]) == []
    # Nothing is left behind by a pass.
    for task, prefix in OWN.items():
        layer = model.tasks[task].neck.convs[0][0].conv
        assert layer.weight is dict(model.named_parameters())[f'{prefix}convs.0.0.conv.weight']


def test_a_copy_has_weights_of_its_own(both):
    _, model, _ = both
    copied, images = copy.deepcopy(model), torch.rand(1, 24, 4, 4)
    with torch.no_grad():
        for parameter in [*copied.parts.parameters(), *copied.tasks.det.neck.parameters()]:
            parameter.zero_()
        copied.eval(), model.eval()
        assert not any(out.any() for out in copied.tasks.det.neck([images]))
        assert any(out.any() for out in model.tasks.det.neck([images]))


def test_a_step_takes_means_of_what_is_shared_and_leaves_the_rest(data, both, tmp_path):
    """Plain descent with decay, against two tasks that have the same pyramids each."""
    sharing, model, _ = both
    changes = {'train_cfg.max_iters': 1, 'val_cfg': None, 'param_scheduler': None}
    sgd = dict(type='SGD', lr=0.1, weight_decay=0.5, momentum=0.9)
    state, ends = model.state_dict(), []
    for make, before in (
        (lambda *a: partly_shared(*a, sharing=sharing), state),
        (with_pyramids, unshared(state, sharing)),
    ):
        cfg = make(data, changes)
        cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=sgd)
        cfg.load_from = str(tmp_path / f'{len(ends)}.pth')
        torch.save(dict(state_dict=before, meta={}), cfg.load_from)
        runner = build_runner(cfg, tmp_path / f'run_{len(ends)}')
        runner.train()
        ends.append(runner.model.state_dict())
    scores = 0
    for key, chosen in shared_channels(state, sharing).items():
        name, dim = key.removeprefix(NECK), int(is_transposed(key.removeprefix(NECK)))
        shape = [1] * state[key].dim()
        shape[dim] = -1
        used = torch.from_numpy(chosen).view(shape)
        both_moved = [ends[1][p + name] for p in OWN.values()]
        # The same start, so that means of gradients are means of ends.
        expected = torch.where(used, sum(both_moved) / 2, state[key])
        torch.testing.assert_close(ends[0][key], expected, atol=2e-6, rtol=1e-5)
        for prefix, moved in zip(OWN.values(), both_moved):
            expected = torch.where(used, state[prefix + name], moved)
            torch.testing.assert_close(ends[0][prefix + name], expected, atol=2e-6, rtol=1e-5)
        score = f'{key.rpartition(".")[0]}.score'
        scores += score in state and not torch.equal(ends[0][score], state[score])
    assert bool(scores) == (sharing in MASKS)


def test_it_counts_shared_channels_once(both):
    sharing, model, apart = both
    state, saved = model.state_dict(), 0
    for key, chosen in shared_channels(state, sharing).items():
        saved += state[key].numel() // len(chosen) * int(chosen.sum())
    spec = model.backbone.space.smallest()
    ledgers = [one.supernet.ledger(one.head_sizes()) for one in (model, apart)]
    for tasks in (TASKS, ('det', 'seg'), ('cls', 'det')):
        ours, theirs = (led.count(JointSpec(dict.fromkeys(tasks, spec))) for led in ledgers)
        assert theirs.total - ours.total == saved * ({'det', 'seg'} <= set(tasks))
        assert ours.separate == theirs.separate
        assert all(ours.head_of(task) == theirs.heads[task] for task in tasks)


def test_it_is_counted_without_weights(data, both):
    """Where scores decide it, with some that are drawn, or with those of a supernet."""
    sharing, model, _ = both
    cfg = resolve_joint_config(partly_shared(data, sharing=sharing))
    state = model.state_dict()
    scores = {k: v.numpy() for k, v in (backbone_scores(state) | part_scores(state)).items()}
    sizes = dict.fromkeys(TASKS, (20, 20))
    report = analyze(cfg, input_sizes=sizes, scores=scores)
    joint = JointSpec({task: space.largest() for task, space in model.spaces.items()})
    counts = model.supernet.ledger(model.head_sizes()).count(joint)
    assert (report['total'], report['separate']) == (counts.total, counts.separate)
    pyramid = sum(p.numel() for p in MODELS.build(PYRAMID).parameters())
    assert [report['tasks'][t]['neck_params'] for t in ('det', 'seg')] == [pyramid] * 2
    assert analyze(cfg, input_sizes=sizes)['separate'] == counts.separate
    check_search(cfg)


def test_it_begins_as_that_of_the_first_task(data):
    torch.manual_seed(0)
    model = MODELS.build(resolve_joint_config(partly_shared(data)).model)
    model.init_weights()
    for name, weight in model.parts[LABEL].neck.named_parameters():
        assert torch.equal(weight, model.state_dict()[OWN['det'] + name])


def test_checkpoints_of_tasks_that_share_all_or_nothing_are_taken(data, both):
    sharing, model, apart = both
    whole = build_model(with_shared_pyramid(data))
    for source in (whole, apart):
        one, state = build_model(partly_shared(data, sharing=sharing)), source.state_dict()
        load_weights('a.pth', one, state, strict=False)
        for name in MODELS.build(PYRAMID).state_dict():
            if NECK + name in one.state_dict():
                first, *others = (
                    key for key in (NECK + name, *(p + name for p in OWN.values())) if key in state
                )
                assert torch.equal(one.state_dict()[NECK + name], state[first])
                for prefix in OWN.values():
                    expected = state[prefix + name if others else first]
                    assert torch.equal(one.state_dict()[prefix + name], expected)


def test_synchronised_norms_become_plain_ones(data, tmp_path):
    """They are replaced by others, and so are those that hold what is shared."""
    cfg = partly_shared(data, sharing='ratio')
    for task in ('det', 'seg'):
        cfg.tasks[task].model.neck.norm_cfg = dict(type='SyncBN')
    model = build_runner(cfg, tmp_path).model
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    assert f'{NECK}convs.0.0.bn.score' in dict(model.named_parameters())
    norm = model.tasks.det.neck.convs[0][0].bn.eval()
    maps = torch.rand(1, norm.num_features, 2, 2)
    before = norm(maps)
    with torch.no_grad():
        model.parts[LABEL].neck.convs[0][0].bn.bias += 1
    moved = (norm(maps) - before).amax((0, 2, 3)) > 0.5
    assert moved.sum() == shared_count(RATIO, len(moved))


def test_killed_and_resumed(data, tmp_path):
    ends = []
    for folder, stops in (('whole', [3]), ('parts', [1, 3])):
        for stop in stops:
            changes = {'train_cfg.max_iters': stop, 'val_cfg': None}
            cfg = partly_shared(data, changes, 'ratio')
            cfg.resume = stop > stops[0]
            cfg.default_hooks.checkpoint.interval = 1
            runner = build_runner(cfg, tmp_path / folder)
            runner.train()
        ends.append(runner.model.state_dict())
    assert differences(*map(dict, ends)) == []


@SHARING_POLICIES.register_module(force=True)
@dataclass(frozen=True)
class Narrow(SharingKind):
    """Of which each task has fewer weights than a layer."""

    def specific_shapes(self, shapes):
        return {name: (1, *shape[1:]) for name, shape in shapes.items()}


@SHARING_POLICIES.register_module(force=True)
@dataclass(frozen=True)
class Halved(SharingKind):
    """A kind that says no more than which channels are shared."""

    def shared_channels(self, share_ratio, channels, groups, scores):
        return np.tile(np.arange(channels) % 2 == 0, (groups, 1))


@pytest.mark.parametrize(
    'layer', [nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(3, 5, 2), nn.Linear(3, 5)]
)
def test_a_kind_of_ones_own(layer):
    held, own = copy.deepcopy(layer), copy.deepcopy(layer)
    with torch.no_grad():
        held.weight.copy_(torch.rand_like(held.weight))
    rows = SharedRows(held, ('weight', 'bias'), Halved(), 0.5)
    dim = int(isinstance(layer, nn.ConvTranspose2d))
    rows.attach(layer)
    rows.attach(layer)
    for channel in range(5):
        source = (own, held)[channel % 2 == 0]
        expected = source.weight.select(dim, channel)
        assert torch.equal(
            rows.merged(dict(weight=own.weight))['weight'].select(dim, channel), expected
        )
    shape = (2, 3) if isinstance(layer, nn.Linear) else (2, 3, 4, 4)
    plain, inputs = copy.deepcopy(own), torch.rand(shape)
    with torch.no_grad():
        for name in ('weight', 'bias'):
            getattr(plain, name).copy_(rows.merged({name: getattr(own, name)})[name])
    assert torch.equal(layer(inputs), plain(inputs)) and not torch.equal(layer(inputs), own(inputs))
    # Whatever happens inside, the task's own weights are there again.
    with pytest.raises(RuntimeError):
        layer(torch.rand(2, 9))
    assert torch.equal(layer.weight, own.weight) and list(layer.state_dict()) == ['weight', 'bias']
    with pytest.raises(ValueError, match='Narrow'):
        SharedRows(held, ('weight', 'bias'), Narrow(), 0.5)


class Mixed(nn.Module):
    """Layers of which some cannot be shared by channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, groups=2)
        self.up = nn.ConvTranspose2d(4, 6, 2, bias=False)
        self.up_in_groups = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.norms = nn.ModuleList([nn.LayerNorm(6), nn.LayerNorm((6, 2)), nn.GroupNorm(2, 6)])
        self.attention = nn.MultiheadAttention(4, 2)
        self.scale = nn.Parameter(torch.ones(3))


def test_layers_without_channels_of_their_own_are_shared_wholly():
    assert layers_by_channels(Mixed()) == {
        'conv': ('weight', 'bias'),
        'up': ('weight',),
        'norms.0': ('weight', 'bias'),
        'norms.2': ('weight', 'bias'),
    }


def test_what_differs_or_has_no_channels_is_said(data, capsys):
    MMLogger.get_instance(__name__)
    cfg = joint_config(data)
    cfg.tasks.other = copy.deepcopy(cfg.tasks.seg)
    cfg.tasks.other.model.decode_head.num_classes = 7
    cfg.parts = dict(head=dict(module='decode_head', tasks=('seg', 'other'), sharing='Sequential'))
    cfg.parts.head.share_ratio = 0.5
    state = build_model(cfg).state_dict()
    assert not any('conv_seg' in key for key in state if key.startswith('parts.'))
    assert any('fpn_bottleneck' in key for key in state if key.startswith('parts.other+seg.'))
    assert 'conv_seg.weight' in ''.join(capsys.readouterr())


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(sharing='Sequential'), 'share_ratio'),
        (dict(share_ratio=0.5), "'sharing'"),
        (dict(sharing='Nothing', share_ratio=0.5), 'Nothing'),
        (dict(sharing='AllSpecific', share_ratio=0.5), 'AllSpecific'),
        (dict(sharing=dict(type='Mask', of=1), share_ratio=0.5), "'of'"),
        (dict(sharing=3, share_ratio=0.5), '3'),
        (dict(sharing='Sequential', share_ratio=1.5), '1.5'),
        (dict(sharing='Sequential', share_ratio='half'), 'half'),
    ],
    ids=str,
)
def test_refused_policies(data, settings, named):
    cfg = with_shared_pyramid(data)
    cfg.parts.pyramid.update(settings)
    with pytest.raises(ValueError, match=rf'parts.pyramid[^\n]*{named}'):
        resolve_joint_config(cfg)
