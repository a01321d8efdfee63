"""Weights that some tasks own together: from a training to the file, and back out of it."""

import random
import shutil

import pytest
import torch
from deposit.hostile import altered
from deposits import SHARINGS
from extracting import VIT, VIT_SPACE, WIDE
from growing import Supernet, changed, check_answers, shuffled
from helpers import TASKS, build_runner, differences, joint_config
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from new_tasks import new_config
from partly_owned import LAYER, TRUST
from refusals import raises_naming
from safetensors.torch import load_file

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, extract, largest_differences, load_tasks, remove, verify
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import choose_again, run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config, task_scope

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
OWNERS = (('a', 'b', 'd'), ('c', 'e'))


def check(supernet, path, joint):
    """Answers, what is counted, and that all fits together."""
    check_answers(supernet, path, joint)
    assert all(verify(path, TRUST).values())
    counts = Deposit(path, TRUST).counts
    assert counts == supernet.model.backbone.ledger(supernet.model.head_sizes()).count(joint)


@pytest.mark.parametrize('sharing', [name for name in SHARINGS if name != 'AllShared'])
def test_owners_come_and_go(data, sharing, tmp_path):
    supernet, rng = Supernet(data, SHARINGS[sharing], owners=OWNERS), random.Random(1)
    path, before = tmp_path / 'a.safetensors', tmp_path / 'before.safetensors'
    joint = supernet.sample(rng, 'a', 'b', 'c')
    supernet.pack(path, joint)
    check(supernet, path, joint)
    original = shutil.copy(path, tmp_path / 'original.safetensors')
    for task in 'de':
        shutil.copy(path, before)
        new = supernet.sample(rng, task)
        supernet.add(path, new)
        joint = JointSpec({**joint, **new})
        assert changed(before, path, TRUST) == []
        check(supernet, path, joint)
    for task in shuffled(rng, 'de'):
        shutil.copy(path, before)
        remove(path, task, TRUST)
        joint = JointSpec({name: spec for name, spec in joint.items() if name != task})
        assert changed(before, path, TRUST) == []
        check_answers(supernet, path, joint)
    assert differences(load_file(original), load_file(path)) == []
    for task in 'ab':
        remove(path, task, TRUST)
        joint = JointSpec({name: spec for name, spec in joint.items() if name != task})
        check_answers(supernet, path, joint)


def test_what_two_own_is_in_the_file_once(data, tmp_path):
    """Of one architecture: what each owns alone is stored twice, that layer's weights are not."""
    path = tmp_path / 'a.safetensors'
    sizes = []
    for owners in ((('a', 'b'),), None):
        supernet = Supernet(data, 'AllSpecific', owners=owners)
        spec = supernet.model.backbone.space.largest()
        supernet.pack(path, JointSpec(dict(a=spec, b=spec)))
        counts = Deposit(path, supernet.trust).counts
        sizes.append(counts.backbone_total)
    layer = [u.size for u in supernet.model.backbone.layout.uses(spec) if u.layer == LAYER]
    assert sizes[1] - sizes[0] == sum(layer)


def test_a_backbone_with_other_owners_is_refused(data, tmp_path):
    path = tmp_path / 'a.safetensors'
    supernet, rng = Supernet(data, 'Sequential', owners=OWNERS), random.Random(0)
    supernet.pack(path, supernet.sample(rng, 'a'))
    other = Supernet(data, 'Sequential', owners=(('a', 'c'), ('b', 'd')))
    with raises_naming(ValueError, "'b'", LAYER):
        other.add(path, JointSpec(dict(b=other.model.backbone.space.largest())))


@pytest.mark.parametrize(
    ('label', 'names'),
    [('a+b+d', ("'a+b+d': 1",)), ('b+a', ("'b+a'",)), ('c+e', ("'c+e': 1",)), ('a+../x', ())],
)
def test_other_counts_than_those_in_the_file_are_refused(data, tmp_path, label, names):
    path, out = tmp_path / 'a.safetensors', tmp_path / 'altered.safetensors'
    supernet = Supernet(data, 'AllSpecific', owners=OWNERS)
    supernet.pack(path, JointSpec(dict(a=supernet.model.backbone.space.largest())))
    altered(path, out, lambda manifest: manifest['counts']['specific'].update({label: 1}))
    with raises_naming(ValueError, 'counts', *names):
        Deposit(out, TRUST).load_task('a')


def test_an_owner_whose_weights_moved_is_refused(data, tmp_path):
    path = tmp_path / 'a.safetensors'
    supernet = Supernet(data, 'AllSpecific', owners=OWNERS)
    spec = supernet.model.backbone.space.largest()
    supernet.pack(path, JointSpec(dict(a=spec)))
    supernet.state[f'backbone.{LAYER}.specific.a+b+d.bias'] += 1
    with raises_naming(ValueError, "'b'", f'{LAYER}.specific.a+b+d.bias'):
        supernet.add(path, JointSpec(dict(b=spec)))
    # The others own nothing of it.
    supernet.add(path, JointSpec(dict(c=spec)))


def config(data, sharing):
    owners = (('cls', 'seg'), ('det', 'more'))
    cfg = joint_config(data, sharing, {'train_cfg.max_iters': 2, 'val_cfg': None})
    cfg.backbone.update(VIT, type='PartlyOwnedViT', space=VIT_SPACE, owners=owners)
    cfg.search_cfg = dict(
        budget='1G',
        evolution=dict(population=3, generations=1, parents=2, crossovers=1, mutations=1),
    )
    return cfg


@pytest.mark.parametrize('sharing', ['Mask', 'AllSpecific'])
def test_from_a_training_to_an_extracted_task(data, sharing, tmp_path):
    cfg = config(data, sharing)
    build_runner(cfg, tmp_path / 'training').train()
    cfg, checkpoint = resolve_joint_config(config(data, sharing)), tmp_path / 'training/iter_2.pth'
    found = run_search(cfg, checkpoint, tmp_path / 'search')
    again = choose_again(tmp_path / 'search' / 'history.jsonl', '1G', tmp_path / 'again')
    assert (again.joint, again.total) == (found.best, found.total)
    best = found.best
    path = tmp_path / 'a.safetensors'
    counts = save_deposit(cfg, checkpoint, best, path, trust=TRUST)
    model, deposit = load_supernet(cfg, checkpoint).eval(), Deposit(path, TRUST)
    assert counts == deposit.counts == model.backbone.ledger(model.head_sizes()).count(best)
    assert 'cls+seg' in counts.specific
    report = analyze(cfg, best, dict.fromkeys(TASKS, (16, 16)), model.backbone.scores())
    assert report['specific'] == counts.specific
    assert report['total'] == found.total == counts.total
    together, answers = load_tasks(path, trust=TRUST), {}
    with torch.no_grad():
        for task in TASKS:
            answers[task] = model.backbone.forward_subnet(IMAGES, task, best[task])
            for one in (deposit.load_task(task), together[task]):
                assert differences(list(one.backbone(IMAGES)), list(answers[task])) == []
    # A new task that owns the layer with ``det``, whose weights are not trained again.
    new = new_config(data, path, None, like='det', changes={'trust': TRUST})
    new.train_cfg.max_iters = 2
    runner = build_runner(new, tmp_path / 'more')
    runner.train()
    own = {n: p.requires_grad for n, p in runner.model.backbone.named_parameters()}
    assert not own[f'{LAYER}.specific.det+more.weight'] and any(own.values())
    grown = shutil.copy(path, tmp_path / 'grown.safetensors')
    new = runner.cfg
    add_to_deposit(new, tmp_path / 'more/iter_2.pth', fixed_spec(new), grown, trust=TRUST)
    assert largest_differences(path, grown, trust=TRUST) == dict.fromkeys(TASKS, 0.0)
    for task in ('cls', 'more'):
        remove(grown, task, TRUST)
    opened = Deposit(grown, TRUST)
    with torch.no_grad():
        for task in ('det', 'seg'):
            found = opened.load_task(task).backbone(IMAGES)
            assert differences(list(found), list(answers[task])) == []
    written = Config.fromfile(extract(grown, 'seg', tmp_path / 'out', trust=TRUST))
    with task_scope(written.default_scope):
        extracted = MODELS.build(written.model).eval()
    load_checkpoint(extracted, written.load_from, 'cpu', strict=True, logger='silent')
    with torch.no_grad():
        for ours, theirs in zip(extracted.backbone(IMAGES), answers['seg'], strict=True):
            zeros = theirs[:, ours.shape[1] :]
            torch.testing.assert_close(ours, theirs[:, : ours.shape[1]], rtol=1e-4, atol=1e-5)
            assert not zeros.any()


def test_a_supernet_as_base(data, tmp_path):
    """A weight that a new task owns with a trained one begins as the trained one's, and stays."""
    build_runner(config(data, 'Sequential'), tmp_path / 'training').train()
    checkpoint = tmp_path / 'training/iter_2.pth'
    joint = JointSpec(dict(det=TRANSFORMER.read(WIDE)))
    new = new_config(data, checkpoint, joint, like='det')
    new.train_cfg.max_iters = 1
    runner = build_runner(new, tmp_path / 'more')
    runner.train()
    found = dict(runner.model.named_parameters())
    expected = torch.load(checkpoint, weights_only=False)['state_dict']
    name = f'backbone.{LAYER}.specific.det+more.weight'
    assert torch.equal(found[name], expected[name])
    other = 'backbone.blocks.0.mlp.fc2.specific.{}.weight'
    assert found[other.format('more')].shape == expected[other.format('det')].shape
