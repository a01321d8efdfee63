"""Propagation blocks of tasks: trained, searched around, deposited, extracted, of new tasks too."""

import shutil

import pytest
import torch
from deposits import pack_joint
from helpers import TASKS, build_runner
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from new_tasks import architectures, base_config, new_config, train_base
from numerics.counting import numel
from refusals import raises_naming

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, remove
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.deposit.verify import verify
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import run_search
from mdl_nas_mm.spec.owners import read_name
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.pass_groups import find_pass_groups

OWN = dict(cls='none', det='basic', seg='bottleneck')
# Those of the images, and one that is no multiple of a patch.
IMAGES = [torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)) for size in
          ((16, 16), (21, 30))]  # fmt: skip


def config(data):
    cfg = base_config(data, 'Sequential')
    for task in ('det', 'seg'):
        settings = dict(window_size=2, global_attention=False, propagation=OWN[task])
        cfg.tasks[task].backbone.update(settings)
    return cfg


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    """Resolved config, supernet's checkpoint, trained model and deposit."""
    folder = tmp_path_factory.mktemp('propagation')
    supernet = train_base(config(data), folder)
    cfg = resolve_joint_config(config(data))
    model, path = load_supernet(cfg, supernet), folder / 'deposit.safetensors'
    counts = pack_joint(path, cfg, model, architectures())
    return cfg, supernet, model, path, counts


def behind(module):
    """The names of the propagations' weights."""
    names = (name.partition('propagations.')[2] for name, _ in module.named_parameters())
    return [name for name in names if name]


@torch.no_grad()
def test_each_task_owns_and_deposits_its_own(base):
    _, _, model, path, counts = base
    deposit, ledger = Deposit(path), model.backbone.ledger()
    assert all(verify(path).values())
    for task, spec in architectures().items():
        loaded, kind = deposit.load_task(task).backbone, OWN[task]
        for images in IMAGES:
            expected = model.backbone.forward_subnet(images, task, spec)
            assert all(map(torch.equal, loaded(images), expected)), task
        assert {name.split('.')[0] for name in behind(loaded)} == {kind} - {'none'}
        own = ledger.params(spec, task)
        assert numel(loaded) == own == counts.backbones[task]
    assert ledger.count(architectures()).backbone_total == counts.backbone_total
    stored = [t for n, t in deposit.read_all().items() if n.startswith(('shared/', 'specific/'))]
    assert sum(tensor.numel() for tensor in stored) == counts.backbone_total


def test_a_step_trains_those_of_its_tasks(data, tmp_path):
    """All of a task's in use move but what starts at a norm of zero; others have none."""
    runner = build_runner(config(data), tmp_path)
    before = {n: p.detach().clone() for n, p in runner.model.named_parameters()}
    runner.train()
    names = [name for name in before if 'propagations' in name]
    assert {read_name(name).owners.label for name in names} == {'det', 'seg'}
    moved = [n for n, p in runner.model.named_parameters() if not torch.equal(before[n], p)]
    for kind, last in (('basic', 1), ('bottleneck', 2)):
        prefix = f'backbone.propagations.{kind}.0.norms.{last}.specific.'
        assert any(name.startswith(prefix) for name in moved)


@torch.no_grad()
def test_an_extracted_task_answers_the_same(base, tmp_path):
    """There is no stock class with such blocks; the config names the elastic one, and says why."""
    path = base[3]
    cfg = Config.fromfile(extract(path, 'det', tmp_path))
    assert cfg.model.backbone.type == 'mdl_nas_mm.ElasticViT'
    assert cfg.model.backbone.propagation == 'basic'
    with task_scope('mmdet'):
        model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')
    loaded = Deposit(path).load_task('det')
    assert numel(model.backbone) == Deposit(path).counts.backbones['det']
    for images in IMAGES:
        assert all(map(torch.equal, model.extract_feat(images), loaded.extract_feat(images)))
    with raises_naming(ValueError, 'det', 'stock'):
        extract(path, 'det', tmp_path / 'stock', stock=True)


def test_a_search_goes_around_them(base, tmp_path):
    """The budget counts them; architectures of tasks with different ones may be the same."""
    cfg, supernet, model, *_ = base
    cfg.search_cfg = dict(
        budget=model.backbone.ledger().count(architectures()).backbone_total,
        with_heads=False,
        tied='all',
        evolution=dict(population=4, generations=2, parents=2, crossovers=1, mutations=1),
    )
    result = run_search(cfg, supernet, tmp_path)
    assert result.total <= cfg.search_cfg.budget and len(set(result.best.values())) == 1
    found = model.backbone.ledger().count(result.best)
    assert found.backbone_total == result.total


@pytest.mark.parametrize(
    ('source', 'like', 'kind'),
    [
        ('supernet', 'det', 'none'),
        ('supernet', 'cls', 'naive'),
        ('deposit', 'det', 'basic'),
        ('deposit', 'cls', 'naive'),
    ],
)
def test_new_tasks_take_or_bring_their_own(data, base, tmp_path, source, like, kind):
    _, supernet, model, old, _ = base
    given = (supernet, architectures()) if source == 'supernet' else (old, None)
    changes = dict(propagation=kind)
    cfg = new_config(data, *given, like=like)
    if like != 'det' or kind != 'basic':
        cfg.tasks.more.backbone = changes
    runner = build_runner(cfg, tmp_path)
    runner.load_or_resume()
    runner.model.init_weights()
    fresh = {n: p for n, p in runner.model.backbone.named_parameters() if 'propagations' in n}
    assert {name.split('.')[1] for name in fresh} == {kind} - {'none'}
    assert all(p.any() for n, p in fresh.items() if '.convs.' in n)
    runner.train()
    new = shutil.copy(old, tmp_path / 'new.safetensors')
    joint, trained = fixed_spec(runner.cfg), runner.model.eval()
    add_to_deposit(runner.cfg, tmp_path / f'iter_{runner.max_iters}.pth', joint, new)
    for task, spec in (*architectures().items(), ('more', joint['more'])):
        source_model = trained if task == 'more' else model
        expected = source_model.backbone.forward_subnet(IMAGES[1], task, spec)
        with torch.no_grad():
            found = Deposit(new).load_task(task).backbone(IMAGES[1])
        assert all(map(torch.equal, found, expected)), task
    remove(new, 'more')
    assert list(Deposit(new).tasks) == list(TASKS)
    add_to_deposit(runner.cfg, tmp_path / f'iter_{runner.max_iters}.pth', joint, new)
    assert all(verify(new).values())


def test_tasks_with_their_own_share_no_pass():
    model = dict(scope='mmseg', model=dict(data_preprocessor=None))
    models = dict.fromkeys('ab', model)
    for kind, together in (('none', True), ('basic', False)):
        backbone = dict(type='mdl_nas_mm.ElasticViT', propagation=dict.fromkeys('ab', kind))
        settings = dict(out_type='featmap', out_indices=(-1,), window_size=2)
        pass_groups = find_pass_groups(dict(images=('a', 'b')), {**backbone, **settings}, models)
        assert bool(pass_groups.shared) is together
