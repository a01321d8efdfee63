"""Joint training from the zoo: every config resolves, builds, and says what is true of it."""

import ast
import re

import pytest
import torch
import yaml
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from mdl_nas_mm.apis.analyze import analyze, initial_scores
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search import parse_budget
from mdl_nas_mm.spec import JointSpec, Ledger
from mdl_nas_mm.tasks import resolve_joint_config, task_scope
from mdl_nas_mm.utils.upstream import upstream_config_path

FOLDER = ROOT / 'configs' / 'zoo'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
TASKS = ('cls', 'det', 'seg')
WIDTHS = {
    'swin-t': [96, 192, 384, 768],
    'swin-s': [96, 192, 384, 768],
    'deit-s': [384] * 4,
    'deit-b': [768] * 4,
}


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def resolve(name):
    return resolve_joint_config(load(name), check_files=False)


@pytest.fixture(scope='module')
def build():
    """The joint model of a resolved config, without memory for its weights; once a model."""
    known = {}

    def build(cfg):
        key = repr(cfg.model)
        if key not in known:
            with torch.device('meta'), task_scope('mdl_nas_mm'):
                known[key] = MODELS.build(cfg.model)
        return known[key]

    return build


def upstream_path(cfg):
    """Of the mmpretrain config that the classification task names."""
    return upstream_config_path(cfg.tasks.cls.config)


def build_upstream(cfg):
    """The zoo's whole classifier; its backbone returns all that the joint model's does."""
    upstream = Config.fromfile(upstream_path(cfg))
    if cfg.backbone.type == 'ElasticSwin':
        upstream.model.backbone.out_indices = (0, 1, 2, 3)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MMPRETRAIN_MODELS.build(upstream.model)


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_zoo_model_has_its_four_configs():
    kinds = [f'{policy}_{kind}' for policy in ('seq', 'mask') for kind in ('joint-1x', 'search')]
    assert sorted(f'{zoo}_{kind}' for zoo in WIDTHS for kind in kinds) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_resolves_and_builds(name, build):
    cfg, widths = resolve(name), WIDTHS[name[:6]]
    tasks = build(cfg).tasks
    assert tuple(cfg.tasks) == tuple(tasks) == TASKS
    assert cfg.model.backbone.space == f'{name[:6]}-elastic'
    assert cfg.model.backbone.sharing == dict(seq='Sequential', mask='Mask')[name.split('_')[1]]
    neck, head = tasks.det.neck, tasks.cls.head
    fc = head.fc if name.startswith('swin') else head.layers.head
    assert fc.in_features == widths[-1]
    assert (
        neck.in_channels == widths if 'swin' in name else neck.convs[3][0].in_channels == widths[0]
    )
    assert tasks.seg.decode_head.in_channels == widths
    assert tasks.seg.auxiliary_head.in_channels == widths[2]


@pytest.mark.parametrize('zoo', WIDTHS)
def test_largest_has_the_size_of_the_zoo_model(zoo, build):
    """Head included; and all tasks' heads take what the smallest and the largest give."""
    name = f'{zoo}_seq_joint-1x'
    cfg = resolve(name)
    space = build(cfg).backbone.space
    upstream = build_upstream(load(name))
    largest = analyze(cfg)['tasks']
    assert {task['backbone_params'] for task in largest.values()} == {numel(upstream.backbone)}
    assert largest['cls']['head_params'] == numel(upstream.head)
    smallest = analyze(cfg, JointSpec(dict.fromkeys(TASKS, space.smallest())))['tasks']
    for task in TASKS:
        assert smallest[task]['backbone_params'] < 0.7 * largest[task]['backbone_params']
        assert smallest[task]['backbone_flops'] < 0.7 * largest[task]['backbone_flops']


@pytest.mark.parametrize('zoo', WIDTHS)
def test_weights_are_the_zoos(zoo):
    """One of the files that mmpretrain lists for the config that classification has."""
    cfg = load(f'{zoo}_seq_joint-1x')
    folder, file = cfg.weights.rsplit('/', 1)
    assert folder.startswith('https://download.openmmlab.com/mmclassification/')
    path = upstream_path(cfg)
    listed = yaml.safe_load((path.parent / 'metafile.yml').read_text())['Models']
    # Other distributions of mmpretrain offer the same files from hosts of their own.
    (entry,) = [m for m in listed if m.get('Weights', '').endswith(f'/{file}')]
    sizes = dict(t='tiny', s='small', b='base')
    assert re.match(rf'(swin|deit)-{sizes[zoo[-1]]}_', entry['Name'])
    assert entry['Config'].endswith(f'/{path.name}')
    top1 = entry['Results'][0]['Metrics']['Top 1 Accuracy']
    header = ast.get_docstring(ast.parse((FOLDER / '_base_' / f'{zoo}_joint.py').read_text()))
    assert f'({top1} top-1 on ImageNet-1K)' in header


@pytest.mark.parametrize('name', NAMES)
def test_nothing_but_the_zoos_weights_is_loaded(name):
    cfg = load(name)
    assert cfg.load_from is None
    assert cfg.backbone.init_cfg == dict(type='Pretrained', checkpoint=cfg.weights, reorder=True)
    head = resolve(name).model.tasks.cls.model.head
    assert head.init_cfg == dict(type='Pretrained', checkpoint=cfg.weights, prefix='head')


@pytest.mark.parametrize('name', NAMES)
def test_header_names_what_is_there(name):
    """Its own command, and a tool and a checkpoint that exist or come to be."""
    header = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    ((tool, config),) = re.findall(r'python (tools/\w+\.py) configs/zoo/([\w-]+)\.py', header)
    assert config == name and (ROOT / tool).is_file()
    assert 'ardware' in header and 'Expected' in header
    for other, iteration in re.findall(r'work_dirs/([\w-]+)/iter_(\d+)\.pth', header):
        assert other == name.replace('search', 'joint-1x')
        assert load(other).train_cfg.max_iters == int(iteration)
    assert ('iter_' in header) == name.endswith('_search')
    if name.endswith('joint-1x'):
        assert f'({"+".join(map(str, load(name).groups.values()))})' in header


@pytest.mark.parametrize('name', NAMES)
def test_what_a_search_scores_on_is_not_trained_on(name):
    """As in the paper's experiments, whose configs have the same parts of the data."""
    cfg = resolve(name)
    paper = Config.fromfile(ROOT / 'configs' / 'mdl_nas' / 'mdl-nas-t_seq_search.py')
    for task in TASKS:
        for loader in ('train_dataloader', 'search_dataloader'):
            ann_file = cfg[loader][task].dataset.ann_file
            assert ann_file == paper.tasks[task][loader].dataset.ann_file
    header = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    assert 'configs/mdl_nas/_base_/held_out.py' in header


@pytest.mark.parametrize('name', [name for name in NAMES if name.endswith('_search')])
def test_budget_is_what_the_header_says_and_binds(name, build):
    cfg = resolve(name)
    backbone = build(cfg).backbone
    ledger = Ledger(backbone.layout, backbone.sharing, initial_scores(backbone))

    def count(spec):
        return ledger.count(JointSpec(dict.fromkeys(TASKS, spec)))

    largest = [count(backbone.space.largest(share)) for share in (0, -1)]
    budget = parse_budget(cfg.search_cfg.budget)
    assert cfg.search_cfg.with_heads is False
    assert budget / largest[0].backbone_separate == pytest.approx(0.6, abs=0.01)
    header = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    assert '60% of three backbones' in header
    assert f' {largest[0].backbone_separate / 1e6:.1f}M.' in header
    assert count(backbone.space.smallest()).backbone_total < budget
    assert budget < max(counts.backbone_total for counts in largest)


@pytest.mark.slow
@pytest.mark.parametrize('zoo', ['swin-t', 'deit-s'])
def test_largest_answers_as_the_zoo_model(zoo, tmp_path):
    """At the real size, head included, whatever the share ratios and the order."""
    cfg = load(f'{zoo}_seq_joint-1x')
    torch.manual_seed(0)
    upstream = build_upstream(cfg)
    upstream.init_weights()
    with torch.no_grad():
        for parameter in upstream.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    file = str(tmp_path / 'zoo.pth')
    torch.save(dict(meta=dict(epoch=300), state_dict=upstream.state_dict()), file)
    cfg.backbone.init_cfg.checkpoint = file
    cfg.tasks.cls.model.head.init_cfg.checkpoint = file
    with task_scope('mdl_nas_mm'):
        joint = MODELS.build(resolve_joint_config(cfg, check_files=False).model)
    joint.init_weights()
    images = torch.randn(2, 3, 224, 224)
    upstream.eval()
    joint.eval()
    block = dict(joint.backbone.named_modules())[
        'stages.2.blocks.5' if zoo == 'swin-t' else 'blocks.11'
    ]
    for weight in block.mlp.fc2.all_of('weight'):
        assert (weight.abs().sum(0).diff() <= 1e-3).all()
    with torch.no_grad():
        expected = upstream(images, mode='tensor')
        for share in (0, -1):
            with joint.scope('cls'), activate('cls', joint.backbone.space.largest(share)):
                answer = joint.tasks.cls(images, mode='tensor')
            torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-5)
