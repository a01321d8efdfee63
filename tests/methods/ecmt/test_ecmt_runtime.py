"""One model that changes its architecture: calibrated, switched, asked."""

from types import SimpleNamespace

import torch
from controlled_tasks import TASKS, TRUST, images, logits, middle
from refusals import raises_naming
from torch.nn.modules.batchnorm import _BatchNorm

from mdl_nas_mm.apis import load_task, save_deposit
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.methods.ecmt import runtime
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import pass_groups_of, recalibrations, task_scope
from mdl_nas_mm.utils.clock import Clock


def test_its_calibration_is_timed_by_the_clock_of_its_device(controlled, monkeypatch):
    monkeypatch.setattr(Clock, 'gaps', lambda clock: [3000.0] * (len(clock.marks) - 1))
    assert controlled.search(middle(controlled))[1] == 3.0


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
            torch.testing.assert_close(found, other, rtol=1e-5, atol=1e-5)


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


def test_without_images_nothing_is_calibrated(controlled):
    with raises_naming(ValueError, 'task', 'calibrate'):
        ControlledModel(controlled.model, controlled.controller, {})


@torch.no_grad()
def test_images_of_several_sizes_to_calibrate_with_are_refused(monkeypatch):
    """As a training has whose batches are padded to their own largest image."""
    sizes = iter([(8, 8), (8, 12)])
    batches = [dict(seg=dict(inputs=torch.zeros(2, 3, *size))) for size in sizes]
    groups = SimpleNamespace(of=dict(seg=(('seg',),)))
    for name, found in (
        ('load_supernet', None),
        ('pass_groups_of', groups),
        ('BatchNormRecalibration', SimpleNamespace(batches=batches)),
    ):
        monkeypatch.setattr(runtime, name, lambda *_, found=found: found)
    cfg = SimpleNamespace(tasks=dict(seg=SimpleNamespace(train={})))
    with raises_naming(ValueError, "'seg'", '8 x 8', '8 x 12'):
        ControlledModel.of(cfg, 'a.pth', None)


def test_a_backbone_of_several_tasks_is_estimated_once(supernet):
    """Its norms count one pass a batch, and have the statistics of the plain backbone's own."""
    cfg, path, _ = supernet
    model, space = load_supernet(cfg, path), load_supernet(cfg, path).backbone.space
    norms = recalibrations(cfg, model, pass_groups=[('seg', 'parts')])[('seg', 'parts')]
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
            torch.testing.assert_close(value, backbone.state_dict()[name], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_deposit_has_the_statistics_of_the_tasks_that_share_a_pass(supernet, tmp_path):
    """Those of its images for both, and not for each those of its own labelled images."""
    cfg, path, _ = supernet
    model, file = load_supernet(cfg, path), tmp_path / 'deposit.safetensors'
    spec = model.backbone.space.smallest()
    joint = JointSpec({task: model.spaces[task].completed(spec) for task in TASKS})
    save_deposit(cfg, path, joint, file, trust=TRUST)
    (shared,), found = pass_groups_of(cfg).shared, {}
    assert set(shared) == {'seg', 'parts'}
    for group in (shared, ('seg',), ('parts',)):
        subnets = model.subnets({task: joint[task] for task in group})
        recalibrations(cfg, model, pass_groups=[group])[group].apply(subnets)
        found[group] = subnets[group[0]].backbone.bn1.running_mean.clone()
    expected, *alone = found.values()
    for task in ('seg', 'parts'):
        deposited = load_task(file, task, trust=TRUST).backbone.bn1.running_mean
        torch.testing.assert_close(deposited, expected)
    assert not any(torch.allclose(own, expected) for own in alone)
