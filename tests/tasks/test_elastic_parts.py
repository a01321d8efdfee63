"""An elastic decode head beside the backbone: its own part of the architecture, everywhere."""

import copy
import random

import pytest
import torch
from deposit.deposits import pack_joint
from elastic_head import PART, PREFIX, TRUST, WIDTHS, ElasticHead, sizes, with_elastic_head
from helpers import (
    WIDTH,
    build_model,
    build_runner,
    differences,
    joint_config,
    plain,
    predict,
)
from refusals import raises_naming

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.deposit import Deposit, extract, remove, verify
from mdl_nas_mm.elastic.arch_source import read_arch
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.engine.freeze import partial_masks
from mdl_nas_mm.search.exact.regions import shared_regions
from mdl_nas_mm.spec import BatchLedger, JointSpec, check_joint
from mdl_nas_mm.tasks import (
    build_eval_loader,
    fixed_spec,
    resolve_joint_config,
    sampled_spaces,
    task_scope,
)
from mdl_nas_mm.tasks.elastic_parts import joint_dimensions


@pytest.fixture(scope='module')
def cfg(data):
    return resolve_joint_config(with_elastic_head(data))


@pytest.fixture(scope='module')
def model(cfg):
    return build_model(cfg)


def sampled(model, seed):
    rng = random.Random(seed)
    return JointSpec({task: space.sample(rng) for task, space in model.spaces.items()})


def widths(spec):
    return [block.width for block in spec.part(PART).stages[0].blocks]


def test_only_its_task_has_it(data, cfg, model):
    spaces = sampled_spaces(cfg, model.backbone.space)
    assert spaces == model.spaces
    assert spaces['cls'] == spaces['det'] == model.backbone.space == spaces['seg'].root
    assert spaces['seg'].parts == ((PART, 1),)
    found = {tuple(widths(sampled(model, i)['seg'])) for i in range(200)}
    assert found == {(w,) for w in WIDTHS} | {(v, w) for v in WIDTHS for w in WIDTHS}
    # The backbone's architectures are the ones that are sampled without it.
    plainly = resolve_joint_config(joint_config(data))
    for task, space in sampled_spaces(plainly, model.backbone.space).items():
        assert space.sample(random.Random(1)) == spaces[task].sample(random.Random(1)).root


def test_architectures_are_written_and_read(cfg, model):
    dimensions = joint_dimensions(cfg.model)
    for i in range(20):
        joint = sampled(model, i)
        assert dimensions.read_joint(joint.to_dict()) == joint
        assert joint['seg'].root == model.backbone.space.dimensions.read(joint['seg'].to_dict())
    written = joint['seg'].to_dict()
    assert [stage['width'] for stage in written['parts'][PART]['stages']] == [widths(joint['seg'])]
    assert 'parts' not in joint['det'].to_dict()
    rng, spec, other = random.Random(0), joint['seg'], sampled(model, 50)['seg']
    space = model.spaces['seg']
    mutants = [space.mutate(spec, rng, 0.5) for _ in range(20)]
    children = [space.crossover(spec, other, rng) for _ in range(20)]
    for found in (*mutants, *children):
        space.check(found)
    assert len({tuple(widths(mutant)) for mutant in mutants}) > 2
    smallest, *_, largest = map(widths, space.sandwich(rng))
    assert (smallest, largest) == ([min(WIDTHS)], [max(WIDTHS)] * 2)
    with raises_naming(ValueError, PART):
        space.check(spec.root)
    with raises_naming(ValueError, "'seg'", PART):
        check_joint(JointSpec({**joint, 'seg': spec.root}), model.spaces)


def test_a_joint_spec_may_name_the_head_or_leave_it(data, model):
    joint = sampled(model, 3)
    for given, expected in ((joint, joint['seg']), ({t: s.root for t, s in joint.items()}, None)):
        cfg = without_choices(data)
        cfg.joint_spec = {task: spec.to_dict() for task, spec in given.items()}
        found = fixed_spec(resolve_joint_config(cfg))['seg']
        assert found.root == joint['seg'].root
        assert widths(found) == (widths(expected) if expected else [max(WIDTHS)] * 2)


def without_choices(data):
    """A joint config that nothing else says the subnets of."""
    cfg = with_elastic_head(data)
    cfg.pop('search_cfg')
    cfg.train_cfg.pop('sampler')
    return cfg


def test_a_deposit_says_it_as_well(data, cfg, model, tmp_path):
    joint, path = sampled(model, 4), tmp_path / 'a.safetensors'
    assert joint['seg'] != model.spaces['seg'].completed(joint['seg'].root)
    pack_joint(path, cfg, model, joint, TRUST)
    fixed = without_choices(data)
    fixed.joint_spec = str(path)
    assert fixed_spec(resolve_joint_config(fixed)) == joint
    # So it does for the head of a model that is trained alone, and for its backbone.
    config = {k: v for k, v in cfg.model.tasks.seg.model.decode_head.items() if k != 'type'}
    with task_scope('mmseg'):
        head = ElasticHead(**config, arch=str(path), task='seg', part=PART)
        with raises_naming(ValueError, path, "'seg.neck'", PART):
            ElasticHead(**config, arch=str(path), task='seg', part='seg.neck')
    assert head.arch == joint['seg'].part(PART)
    dimensions = model.backbone.space.dimensions
    assert read_arch(path, dimensions, 'seg') == joint['seg'].root


def test_it_counts_by_its_architecture(model):
    ledger = model.supernet.ledger(model.head_sizes())
    apart = model.backbone.ledger(model.head_sizes())
    joints = [sampled(model, i) for i in range(30)]
    for joint in joints:
        counts = ledger.count(joint)
        roots = apart.count(JointSpec({task: spec.root for task, spec in joint.items()}))
        assert (counts.shared, counts.specific) == (roots.shared, roots.specific)
        assert counts.backbones == roots.backbones
        head = sizes(widths(joint['seg']))
        assert counts.heads == {**roots.heads, 'seg': roots.heads['seg'] + head}
    assert roots.heads['seg'] == 0
    totals = [ledger.count(joint).total for joint in joints]
    assert BatchLedger(ledger).totals(joints).tolist() == totals
    without = [ledger.count(joint).backbone_total for joint in joints]
    assert BatchLedger(ledger, with_heads=False).totals(joints).tolist() == without
    whole = BatchLedger(ledger)
    for joint in joints[:5]:
        regions, shares = shared_regions(ledger, list(joint.items()))
        own = sum(whole.specific(whole.encode([spec], task))[0] for task, spec in joint.items())
        constant = whole.head_total(joint)
        assert own + regions[shares.any(axis=0)].sum() + constant == ledger.count(joint).total


def test_a_pass_touches_what_it_uses_and_nothing_else(cfg, model):
    data = next(iter(build_loader(cfg, 'seg')))
    parameters = dict(model.named_parameters())
    for i in range(4):
        spec = sampled(model, i)['seg']
        model.zero_grad()
        loss, _ = model.loss('seg', spec, model.preprocess('seg', copy.deepcopy(data)))
        loss.backward()
        masks, inputs = partial_masks(model.supernet, [('seg', spec)]), 2 * WIDTH
        for layer, width in enumerate(widths(spec)):
            weight = parameters[f'{PREFIX}.convs.{layer}.weight']
            used = torch.zeros_like(weight, dtype=torch.bool)
            used[:width, :inputs] = True
            assert torch.equal(masks.get(weight, torch.ones_like(used)), used)
            assert weight.grad[used].any() and not weight.grad[~used].any()
            inputs = width
        if len(widths(spec)) == 1:
            assert parameters[f'{PREFIX}.convs.1.weight'].grad is None


def build_loader(cfg, task):
    return build_eval_loader(task, cfg.tasks[task].scope, cfg.train_dataloader[task])


def answer(model, cfg, task):
    loader = build_eval_loader(task, cfg.tasks[task].scope, cfg.val_dataloader[task])
    return plain(model.val_step(next(iter(loader))))


@torch.no_grad()
def test_a_subnet_answers_as_it_does_inside(cfg, model):
    model.eval()
    loader = build_eval_loader('seg', 'mmseg', cfg.val_dataloader['seg'])
    batch = next(iter(loader))
    for i in range(4):
        spec = sampled(model, i)['seg']
        subnet = model.subnet('seg', spec)
        head = subnet.decode_head
        assert [len(conv.weight) for conv in head.convs] == widths(spec)
        assert [len(norm.running_mean) for norm in head.norms] == widths(spec)
        inside = predict(model, 'seg', spec, copy.deepcopy(batch))
        assert differences(plain(subnet.val_step(copy.deepcopy(batch))), plain(inside)) == []
    assert model.tasks.seg.decode_head is not head
    assert len(model.tasks.seg.decode_head.convs[0].weight) == max(WIDTHS)


def test_training_resumes_where_it_was(data, tmp_path):
    """Killed or not, in steps with subnets of the head too."""
    ends = []
    for folder, stops in (('whole', [4]), ('parts', [2, 4])):
        for stop in stops:
            cfg = with_elastic_head(data, changes={'train_cfg.max_iters': stop, 'val_cfg': None})
            cfg.resume = stop > stops[0]
            cfg.default_hooks.checkpoint.interval = 2
            runner = build_runner(cfg, tmp_path / folder)
            runner.train()
        ends.append(runner.model.state_dict())
    assert differences(*map(dict, ends)) == []


def test_deposited_with_statistics_of_its_architecture(data, tmp_path):
    changes = {'train_cfg.max_iters': 1, 'recalibrate_images': 4}
    cfg = with_elastic_head(data, changes=changes)
    build_runner(cfg, tmp_path).train()
    cfg, path = resolve_joint_config(cfg), tmp_path / 'a.safetensors'
    model = load_supernet(cfg, tmp_path / 'iter_1.pth')
    joint, trained = sampled(model, 2), copy.deepcopy(model.tasks.seg.decode_head.norms)
    counts = save_deposit(cfg, tmp_path / 'iter_1.pth', joint, path, scored=True, trust=TRUST)
    deposit = Deposit(path, TRUST)
    assert all(verify(path, TRUST).values())
    assert counts == deposit.counts == model.supernet.ledger(model.head_sizes()).count(joint)
    head = deposit.load_task('seg').decode_head
    assert [len(conv.weight) for conv in head.convs] == widths(joint['seg'])
    assert (
        sum(p.numel() for p in head.parameters())
        == counts.heads['seg']
        == sizes(widths(joint['seg']))
    )
    for layer, conv in enumerate(head.convs):
        rows, columns = conv.weight.shape
        whole = model.tasks.seg.decode_head.convs[layer].weight[:rows, :columns]
        assert torch.equal(conv.weight, whole)
        found, before = head.norms[layer].running_mean, trained[layer].running_mean[:rows]
        assert found.shape == before.shape and not torch.equal(found, before)
    assert answer(deposit.load_task('seg'), cfg, 'seg')
    extract(path, 'seg', tmp_path / 'out', trust=TRUST)
    state = torch.load(tmp_path / 'out' / 'seg.pth', weights_only=True)['state_dict']
    assert torch.equal(state['decode_head.convs.0.weight'], head.convs[0].weight)
    remove(path, 'seg', TRUST)
    assert sorted(Deposit(path, TRUST).tasks) == ['cls', 'det']


def test_a_space_has_to_be_given(data):
    cfg = with_elastic_head(data)
    cfg.tasks.seg.model.decode_head.pop('space')
    with raises_naming(ValueError, PART, "'space'"):
        resolve_joint_config(cfg)
    cfg = with_elastic_head(data, changes={'tasks.seg.model.decode_head.space.width': (0,)})
    with raises_naming(ValueError, PART, 'width', 0):
        resolve_joint_config(cfg)
