"""Parts of upstream models that some tasks own together, against models that share nothing."""

import copy
import random

import pytest
import torch
from elastic_head import with_elastic_head
from helpers import TASKS, build_model, build_runner, differences, joint_config
from mmengine.logging import MMLogger
from refusals import raises_naming
from shared_pyramid import LABEL, PYRAMID, with_pyramids, with_shared_pyramid

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import BatchLedger, JointSpec, Owners
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

NECK = f'parts.{LABEL}.neck.'


@pytest.fixture(scope='module')
def model(data):
    return build_model(with_shared_pyramid(data))


def unshared(state):
    """The entries of a model in which each task has a pyramid of its own."""
    found = {}
    for key, value in state.items():
        rest = key.removeprefix(NECK)
        names = [key] if rest == key else [f'tasks.{task}.neck.{rest}' for task in ('det', 'seg')]
        found.update({name: value.clone() for name in names})
    return found


def test_weights_are_there_once_and_running_statistics_for_each(model):
    state, pyramid = model.state_dict(), MODELS.build(PYRAMID)
    weights = {f'{NECK}{name}' for name, _ in pyramid.named_parameters()}
    assert {key for key in state if key.startswith('parts.')} == weights
    assert all(owners_of(key) == Owners.of('det', 'seg') for key in weights)
    buffers = {name for name, _ in pyramid.named_buffers()}
    for task in ('det', 'seg'):
        prefix = f'tasks.{task}.neck.'
        assert {k.removeprefix(prefix) for k in state if k.startswith(prefix)} == buffers
    named = dict(model.named_parameters())
    assert weights <= set(named) and len(set(map(id, named.values()))) == len(named)
    # What an optimizer's settings depend on.
    kinds = {type(m) for m in model.parts[LABEL].modules()}
    assert torch.nn.BatchNorm2d in kinds and torch.nn.ConvTranspose2d in kinds


def test_tasks_answer_as_models_that_have_it_each(data, model):
    cfg = resolve_joint_config(with_pyramids(data))
    apart = build_model(with_pyramids(data))
    apart.load_state_dict(unshared(model.state_dict()))
    for task in TASKS:
        loader = build_train_loader(task, model.scopes[task], cfg.train_dataloader[task], 0)
        batch, spec = next(iter(loader)), model.backbone.space.largest()
        losses = []
        for one in (model, apart):
            one.eval()
            torch.manual_seed(0)
            losses.append(one.loss(task, spec, one.preprocess(task, copy.deepcopy(batch)))[1])
        assert differences(*losses) == []


def test_a_step_takes_the_mean_of_its_tasks_gradients(data, model, tmp_path):
    """Plain descent: what the shared weights move is the mean of what two own ones would."""
    changes = {'train_cfg.max_iters': 1, 'val_cfg': None, 'param_scheduler': None}
    ends = []
    for make, change in ((with_shared_pyramid, dict), (with_pyramids, unshared)):
        cfg = make(data, changes)
        cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
        state = change(model.state_dict())
        cfg.load_from = str(tmp_path / f'{len(ends)}.pth')
        torch.save(dict(state_dict=state, meta={}), cfg.load_from)
        runner = build_runner(cfg, tmp_path / f'run_{len(ends)}')
        runner.train()
        end = runner.model.state_dict()
        ends.append({k: end[k] - state[k] for k in end if end[k].is_floating_point()})
    moved = [key for key in ends[0] if key.startswith(NECK)]
    for key in ends[0]:
        names = [key]
        if key in moved:
            names = [f'tasks.{task}.neck.{key.removeprefix(NECK)}' for task in ('det', 'seg')]
        expected = sum(ends[1][name] for name in names) / len(names)
        torch.testing.assert_close(ends[0][key], expected, atol=1e-6, rtol=1e-5)
    assert any(ends[0][key].abs().max() > 1e-4 for key in moved)


def test_it_begins_as_that_of_the_first_task(data):
    models = []
    for make in (with_shared_pyramid, with_pyramids):
        torch.manual_seed(0)
        models.append(MODELS.build(resolve_joint_config(make(data)).model))
        models[-1].init_weights()
    shared, own = (one.tasks.det.neck.convs[0][0].conv.weight for one in models)
    assert torch.equal(shared, own)
    assert torch.equal(shared, models[0].tasks.seg.neck.convs[0][0].conv.weight)
    own_of_seg = models[1].tasks.seg.neck.convs[0][0].conv.weight
    assert not torch.equal(shared, own_of_seg)


def test_a_copy_has_weights_of_its_own(model):
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parts.parameters():
            parameter.zero_()
    for task in ('det', 'seg'):
        assert not copied.tasks[task].neck.convs[0][0].conv.weight.any()
        assert model.tasks[task].neck.convs[0][0].conv.weight.any()
        subnet = copied.subnet(task, model.backbone.space.largest())
        assert not subnet.neck.convs[0][0].conv.weight.any()


def test_synchronised_norms_become_plain_ones_on_a_single_process(data, tmp_path):
    cfg = with_shared_pyramid(data)
    for task in ('det', 'seg'):
        cfg.tasks[task].model.neck.norm_cfg = dict(type='SyncBN')
    model = build_runner(cfg, tmp_path).model
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())
    named = dict(model.named_parameters())
    assert f'{NECK}convs.0.0.bn.weight' in named
    assert not any(key.startswith(('tasks.det.neck', 'tasks.seg.neck')) for key in named)
    norms = [model.tasks[task].neck.convs[0][0].bn for task in ('det', 'seg')]
    assert norms[0].weight is norms[1].weight is named[f'{NECK}convs.0.0.bn.weight']


def test_it_counts_once_in_one_file_and_for_each_in_separate_ones(data, model):
    size = sum(p.numel() for p in MODELS.build(PYRAMID).parameters())
    apart = build_model(with_pyramids(data))
    ledgers = [one.backbone.ledger(one.head_sizes()) for one in (model, apart)]
    rng = random.Random(0)
    for tasks in (TASKS, ('det', 'seg'), ('cls', 'det'), ('seg',), ('cls',)):
        joint = JointSpec({task: model.backbone.space.sample(rng) for task in tasks})
        ours, theirs = (ledger.count(joint) for ledger in ledgers)
        both = {'det', 'seg'} <= set(tasks)
        assert theirs.total - ours.total == both * size
        assert ours.separate == theirs.separate
        for task in tasks:
            assert ours.head_of(task) == theirs.heads[task]
        assert BatchLedger(ledgers[0]).totals([joint]).tolist() == [ours.total]


def test_what_differs_stays_each_tasks_own(data, capsys):
    MMLogger.get_instance(__name__)
    cfg = joint_config(data)
    cfg.tasks.other = copy.deepcopy(cfg.tasks.seg)
    cfg.tasks.other.model.decode_head.num_classes = 7
    cfg.parts = dict(head=dict(module='decode_head', tasks=('seg', 'other')))
    model = build_model(cfg)
    own = {key for key in model.state_dict() if 'conv_seg' in key}
    leaves = ('weight', 'bias')
    assert own == {f'tasks.{t}.decode_head.conv_seg.{n}' for t in ('seg', 'other') for n in leaves}
    heads = [key for key in model.state_dict() if 'fpn_bottleneck' in key and 'running' not in key]
    assert heads and all(key.startswith('parts.other+seg.decode_head.') for key in heads)
    said = ''.join(capsys.readouterr())
    assert 'parts.head' in said and 'conv_seg.weight' in said


@pytest.mark.parametrize(
    ('parts', 'named'),
    [
        (['neck'], ('parts', "['neck']")),
        ({'p': 'neck'}, ('parts.p', "'neck'")),
        ({'p': dict(module='neck')}, ('parts.p', "'tasks'")),
        ({'p': dict(module='neck', tasks=('det',))}, ('parts.p', "('det',)")),
        ({'p': dict(module='neck', tasks=('det', 'det'))}, ('parts.p', "('det', 'det')")),
        ({'p': dict(module='neck', tasks=('det', 'other'))}, ('parts.p', "'other'")),
        ({'p': dict(module='neck', tasks=('det', 'seg'), like='x')}, ('parts.p', "'like'")),
        ({'p': dict(module='backbone', tasks=('det', 'seg'))}, ('parts.p', "'backbone'")),
        (
            {
                'p': dict(module='neck', tasks=('det', 'seg')),
                'q': dict(module='neck.convs', tasks=('seg', 'det')),
            },
            ('parts.p', 'parts.q', "'neck'", "'neck.convs'"),
        ),
    ],
)
def test_refused_parts(data, parts, named):
    cfg = with_pyramids(data)
    cfg.parts = parts
    with raises_naming(ValueError, *named):
        resolve_joint_config(cfg)


@pytest.mark.parametrize(
    ('module', 'tasks', 'named'),
    [
        ('neck', ('cls', 'seg'), ('GlobalAveragePooling', 'seg')),
        ('necks', ('det', 'seg'), ("'det'", 'necks')),
        ('neck', ('det', 'seg'), ('parameter', "'neck'")),
    ],
)
def test_what_tasks_do_not_have_alike_is_no_part(data, module, tasks, named):
    cfg = with_pyramids(data)
    cfg.tasks.cls.model.neck = dict(type='GlobalAveragePooling')
    if 'parameter' in named:
        cfg.tasks.seg.model.neck.out_channels = 4
        cfg.tasks.seg.model.neck.in_channels = 32
        cfg.tasks.seg.model.decode_head.in_channels = [4] * 4
    cfg.parts = dict(p=dict(module=module, tasks=tasks))
    with raises_naming(ValueError, 'parts.p', *named):
        build_model(cfg)


@pytest.mark.parametrize('module', ['decode_head', 'decode_head.convs'])
def test_an_elastic_module_is_no_part(data, module):
    """It could be trained, and failed in the first validation."""
    cfg = with_elastic_head(data)
    cfg.tasks.other = copy.deepcopy(cfg.tasks.seg)
    cfg.parts = dict(p=dict(module=module, tasks=('seg', 'other')))
    with raises_naming(ValueError, 'parts.p', repr(module), "'other'"):
        build_model(cfg)
