"""One model that changes its architecture: calibrated, switched, kept in a file."""

import json

import numpy as np
import pytest
import torch
from elastic_head import CLASSES, SPACE, WIDTHS, ElasticHead  # noqa: F401
from helpers import call_tool, refusal_of_tool
from image_group import joint_config, write_images
from mmengine.config import Config
from refusals import raises_naming
from safetensors.torch import load_file, save_file
from shared_images import own_batch
from torch.nn.modules.batchnorm import _BatchNorm

from mdl_nas_mm.apis import load_task, save_deposit
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.methods.ecmt.controller import Controller
from mdl_nas_mm.methods.ecmt.costs import MACS
from mdl_nas_mm.methods.ecmt.file import load_controlled, save_controlled
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import recalibrations, resolve_joint_config, task_scope, units_of
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.randomness import seeded

TASKS = ('seg', 'parts', 'alone')
SIZES = dict.fromkeys(TASKS, (16, 16))
TRUST = (f'{ElasticHead.__module__}.ElasticHead',)
RESNET = dict(
    type='ElasticResNet',
    depth=18,
    base_channels=3,
    stem_channels=3,
    strides=(1, 2, 1, 1),
    out_indices=(3,),
    space=dict(width_ratio=(0.4, 0.7, 1.0)),
    sharing='AllShared',
)


@pytest.fixture(scope='module')
def supernet(tmp_path_factory):
    """A resolved config with a slimmable ResNet, a checkpoint, and a predictor."""
    folder = tmp_path_factory.mktemp('runtime')
    cfg = joint_config(write_images(folder / 'data'))
    cfg.backbone = RESNET
    for task in ('seg', 'parts'):
        cfg.tasks[task].model.decode_head = dict(
            _delete_=True,
            type='mdl_nas_mm.ElasticHead',
            space=dict(SPACE, depth=2),
            in_channels=24,
            in_index=-1,
            channels=max(WIDTHS),
            dropout_ratio=0.0,
            num_classes=CLASSES,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    cfg.tasks.alone.model.decode_head.norm_cfg = dict(type='BN')
    cfg.recalibrate_images = 4
    cfg.train_cfg.step = dict(type='ECMTStep')
    cfg.dump(folder / 'joint.py')
    cfg = resolve_joint_config(Config.fromfile(folder / 'joint.py'))
    with task_scope('mdl_nas_mm'), seeded(0):
        model = MODELS.build(cfg.model)
        model.init_weights()
        for name, value in model.backbone.state_dict().items():
            if name.endswith('bn2.weight'):
                value.uniform_(0.5, 1.5)
    described = dict(
        space=model.backbone.space.to_config(), sharing=model.backbone.sharing.to_config()
    )
    path = folder / 'supernet.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}, backbone=described), path)
    columns = JointColumns(model.spaces)
    rows = columns.sample(60, np.random.default_rng(0))
    encoded = columns.encoded(rows)
    losses = np.stack([5 - encoded[:, columns.of_task(t)].sum(1) for t in cfg.tasks], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=5))
    return cfg, path, predictor


@pytest.fixture
def controlled(supernet):
    cfg, path, predictor = supernet
    controller = Controller.of_model(weightless(cfg.model).eval(), predictor, SIZES)
    return ControlledModel.of(cfg, path, controller, images=4)


def images(task):
    return own_batch(task, 0, 0, (0, 1))


def logits(model, task):
    return [found.seg_logits.data for found in model.predict(task, images(task))]


def middle(controlled):
    cost, top = controlled.controller.costs[MACS], controlled.controller.columns.choices - 1
    least, most = (float(cost(row[None])[0]) for row in (0 * top, top))
    return str(int((least + most) / 2))


@torch.no_grad()
def test_an_architecture_is_the_plain_model_of_its_slices_calibrated_alike(supernet, controlled):
    """Against plain copies of its slices around one backbone, whose norms saw the same images."""
    cfg, path, _ = supernet
    member, seconds = controlled.search(middle(controlled), dict(seg=1, parts=0.5))
    assert seconds > 0 and controlled.member is member
    plain = load_supernet(cfg, path).subnets(member.found.joint)
    modules = {module for model in plain.values() for module in model.modules()}
    modules |= set(plain['seg'].backbone.modules())
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with SharedPass():
        for task, model in plain.items():
            model(controlled.images[task], mode='tensor')
    for norm in norms:
        norm.eval()
    assert plain['seg'].backbone is plain['alone'].backbone
    for task, model in plain.items():
        with task_scope('mmseg'):
            expected = [found.seg_logits.data for found in model.test_step(images(task))]
        for found, other in zip(logits(controlled, task), expected, strict=True):
            torch.testing.assert_close(found, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_switching_changes_nothing_but_the_answers(controlled):
    first, _ = controlled.search(middle(controlled), dict(seg=1))
    second, _ = controlled.search(None, dict(parts=1))
    weights = {name: p.clone() for name, p in controlled.model.named_parameters()}
    places = {name: p.data_ptr() for name, p in controlled.model.named_parameters()}
    answers = []
    for member in (first, second, first, second):
        controlled.switch(member)
        with SharedPass():
            answers.append([logits(controlled, task) for task in TASKS])
    for one, again in ((0, 2), (1, 3)):
        pairs = zip(answers[one], answers[again])
        assert all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y))
    assert not torch.equal(answers[0][0][0], answers[1][0][0])
    for name, parameter in controlled.model.named_parameters():
        assert parameter.data_ptr() == places[name] and torch.equal(parameter, weights[name])


def test_a_request_takes_the_nearest_that_fits(controlled):
    budget, alike = middle(controlled), dict.fromkeys(TASKS, 1)
    controlled.add_to_front([budget, None], [dict(seg=1), dict(parts=1), alike])
    assert len(controlled.front) == 6
    chosen = controlled.request(budget, dict(parts=3))
    assert chosen.found.preferences == dict(seg=0, parts=1, alone=0)
    assert chosen.found.cost <= float(budget) and controlled.member is chosen
    assert controlled.request(None, alike).found.preferences == dict.fromkeys(TASKS, 1.0)
    with raises_naming(ValueError, "'1000'", '6'):
        controlled.request('1000')
    with raises_naming(ValueError, 'preferences', "'nope'"):
        controlled.request(None, dict(nope=1))


@torch.no_grad()
def test_all_of_it_is_in_one_file(supernet, controlled, tmp_path):
    cfg, path = supernet[0], tmp_path / 'controlled.safetensors'
    controlled.add_to_front([middle(controlled)], [dict(seg=1)])
    save_controlled(path, cfg.model, controlled, SIZES)
    loaded = load_controlled(path, TRUST)
    member = loaded.request(None, dict(seg=1))
    assert member.found.row.tolist() == controlled.front[0].found.row.tolist()
    controlled.switch(controlled.front[0])
    for task in TASKS:
        for found, expected in zip(logits(loaded, task), logits(controlled, task), strict=True):
            assert torch.equal(found, expected)
    # What lies off the front is calibrated with the images of the file.
    wanted = loaded.search(None, dict(parts=1))[0], controlled.search(None, dict(parts=1))[0]
    assert wanted[0].statistics.keys() == wanted[1].statistics.keys()
    for name, values in wanted[0].statistics.items():
        torch.testing.assert_close(values, wanted[1].statistics[name])
    # Tasks on the same images have them once.
    names = load_file(path)
    assert sum(name.startswith('images.') for name in names) < len(TASKS) + 1


def test_files_that_are_not_what_they_should_be(supernet, controlled, tmp_path):
    cfg, path = supernet[0], tmp_path / 'controlled.safetensors'
    controlled.add_to_front([None], [dict(seg=1)])
    save_controlled(path, cfg.model, controlled, SIZES)
    with raises_naming(FileNotFoundError, 'absent'):
        load_controlled(tmp_path / 'absent')
    header = path.read_bytes()
    about = json.loads(header[8 : 8 + int.from_bytes(header[:8], 'little')])['__metadata__']
    tensors = load_file(path)

    def rewritten(change, without=None):
        content = json.loads(about['controlled_model'])
        change(content)
        kept = {name: value for name, value in tensors.items() if name != without}
        save_file(kept, path, {'controlled_model': json.dumps(content)})
        return path

    def evil(content):
        content['model']['tasks']['seg']['model']['type'] = 'os.system'

    cases = (
        (evil, None, 'os.system'),
        (lambda c: c['front'][0]['row'].__setitem__(0, 99), None, 'space'),
        (lambda c: c['predictor']['tasks'].reverse(), None, 'predictor'),
        (lambda c: None, 'model.backbone.conv1.weight', 'conv1'),
        (lambda c: c.pop('sizes'), None, 'sizes'),
    )
    for change, without, named in cases:
        with raises_naming(ValueError, str(path), named):
            load_controlled(rewritten(change, without), TRUST)
    path.write_bytes(b'nothing')
    with raises_naming(ValueError, str(path)):
        load_controlled(path)


def test_a_file_takes_the_latency_table_of_the_machine(controlled, supernet, tmp_path):
    path, table = tmp_path / 'controlled.safetensors', tmp_path / 'latency.json'
    controlled.add_to_front([None], [dict(seg=1)])
    save_controlled(path, supernet[0].model, controlled, SIZES)
    backbone = controlled.model.backbone
    timing = Timing.of(backbone, 'seg', SIZES['seg'])
    parts = dict.fromkeys(timing.timed.all_parts(backbone.space), 2.0)
    LatencyTable(timing, parts).save(table)
    with raises_naming(ValueError, '50ms', 'latency table'):
        load_controlled(path, TRUST).request('50ms', dict(seg=1))
    loaded = load_controlled(path, TRUST, table)
    root = loaded.request('50ms', dict(seg=1)).found.joint['seg'].root
    # A stem and eight blocks of two milliseconds each.
    assert LatencyTable.load(table).predict(root) == 18
    with raises_naming(ValueError, '10ms'):
        loaded.request('10ms', dict(seg=1))


def test_without_images_nothing_is_calibrated(controlled):
    with raises_naming(ValueError, 'task', 'calibrate'):
        ControlledModel(controlled.model, controlled.controller, {})


@torch.no_grad()
def test_a_backbone_of_several_tasks_is_estimated_once(supernet):
    """Its norms count one pass a batch, and have the statistics of the plain backbone's own."""
    cfg, path, _ = supernet
    model, space = load_supernet(cfg, path), load_supernet(cfg, path).backbone.space
    norms = recalibrations(cfg, model, units=[('seg', 'parts')])[('seg', 'parts')]
    specs = {task: model.spaces[task].completed(space.smallest()) for task in ('seg', 'parts')}
    subnets = model.subnets(specs)
    norms.apply(subnets)
    backbone = subnets['seg'].backbone
    batches = len(norms.batches)
    assert backbone is subnets['parts'].backbone and backbone.bn1.num_batches_tracked == batches
    other = model.subnet('seg', specs['seg']).backbone.train()
    for module in other.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    for batch in norms.batches:
        other(batch['seg']['inputs'])
    for name, value in other.state_dict().items():
        if 'running' in name:
            torch.testing.assert_close(value, backbone.state_dict()[name], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_deposit_has_the_statistics_of_the_tasks_that_share_a_pass(supernet, tmp_path):
    """Those of its images for both, and not for each those of its own labelled images."""
    cfg, path, _ = supernet
    model, file = load_supernet(cfg, path), tmp_path / 'deposit.safetensors'
    spec = model.backbone.space.smallest()
    joint = JointSpec({task: model.spaces[task].completed(spec) for task in TASKS})
    save_deposit(cfg, path, joint, file, trust=TRUST)
    (shared,), found = units_of(cfg).shared, {}
    assert set(shared) == {'seg', 'parts'}
    for unit in (shared, ('seg',), ('parts',)):
        subnets = model.subnets({task: joint[task] for task in unit})
        recalibrations(cfg, model, units=[unit])[unit].apply(subnets)
        found[unit] = subnets[unit[0]].backbone.bn1.running_mean.clone()
    expected, *alone = found.values()
    for task in ('seg', 'parts'):
        deposited = load_task(file, task, trust=TRUST).backbone.bn1.running_mean
        torch.testing.assert_close(deposited, expected)
    assert not any(torch.allclose(own, expected) for own in alone)


def test_the_command_lines(supernet, tmp_path, monkeypatch, capsys):
    _, checkpoint, predictor = supernet
    config, learned = checkpoint.with_name('joint.py'), tmp_path / 'predictor.safetensors'
    out = tmp_path / 'controlled.safetensors'
    predictor.save(learned)
    sizes = ['--input-size', *(f'{task}=16' for task in TASKS)]
    given = [config, '--checkpoint', checkpoint, '--predictor', learned, '--out', out, *sizes]
    call_tool(monkeypatch, 'pack_control', *given, '--images', '4', '--budgets', '1G')
    assert capsys.readouterr().out.count(MACS) == len(TASKS) + 1
    named = ['--trust', *TRUST]
    call_tool(monkeypatch, 'control', out, '--budget', '1G', '--prefer', 'seg=1', *named)
    assert 'seg: preference 1.00' in capsys.readouterr().out
    assert str(checkpoint) in refusal_of_tool(monkeypatch, 'control', checkpoint)
