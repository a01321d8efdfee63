"""Base and sub-tasks of the published data sets, on small files of their layouts."""

import re

import pytest
from helpers import ROOT, build_runner
from mmengine.config import Config
from scenes.layouts import write_nyud, write_pascal

from mdl_nas_mm.apis import save_deposit, sub_tasks
from mdl_nas_mm.apis.differences import describe_differences
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config

FOLDER = ROOT / 'configs' / 'computation_sharing'
NAMES = sorted(path.stem.removesuffix('_base') for path in FOLDER.glob('*_base.py'))
QUICK = ('nyud_vit-b', 'pascal_swin-b_parts')
SIDE = 64
# As wide as the published ones, so that heads fit, and one block deep.
SPACES = {
    'deit-b': dict(embed_dim=768, depth=1, num_heads=12, mlp_ratio=1),
    'swin-b': [dict(embed_dim=128 << i, depth=1, num_heads=4 << i, mlp_ratio=1) for i in range(4)],
}


@pytest.fixture(scope='module')
def layouts(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    write_nyud(root / 'data' / 'NYUDv2', 'atrc', size=(72, 96))
    pascal = root / 'data' / 'PASCALContext'
    write_pascal(pascal, (72, 96))
    lists = pascal / 'ImageSets'
    (lists / 'Context').mkdir(exist_ok=True)
    for split in ('train', 'val'):
        text = (lists / 'Parts' / 'train.txt').read_text()
        (lists / 'Context' / f'{split}.txt').write_text(text)
    return root


def shrink(config):
    """Two images a batch, of few pixels, from random weights."""
    for key, value in list(config.items() if isinstance(config, dict) else enumerate(config)):
        if key in ('size', 'crop_size') and isinstance(value, tuple):
            config[key] = (SIDE, SIDE)
        elif key == 'scale':
            config[key] = (96, 72)
        elif key == 'num_workers':
            config.update(num_workers=0, persistent_workers=False)
        elif key == 'batch_size':
            config[key] = min(value, 2)
        elif key == 'channels':
            config[key] = 32
        elif isinstance(value, (dict, list)):
            shrink(value)


def small(cfg):
    """The config, resolved, with two steps on small images."""
    cfg = resolve_joint_config(cfg)
    for key in ('train_dataloader', 'val_dataloader', 'search_dataloader'):
        shrink(cfg[key])
    for task in cfg.model.tasks.values():
        shrink(task.model)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    return cfg


def base_config(name):
    cfg = Config.fromfile(FOLDER / f'{name}_base.py')
    cfg.backbone.space, cfg.backbone.init_cfg = SPACES[cfg.backbone.space], None
    return cfg


@pytest.fixture(scope='module')
def bases(layouts, tmp_path_factory):
    """Name -> a deposit of its base, each made once; the current folder is ``layouts``."""
    known = {}

    def make(name):
        if name not in known:
            folder, cfg = tmp_path_factory.mktemp('base'), small(base_config(name))
            build_runner(cfg, folder).train()
            known[name] = folder / 'base.safetensors'
            save_deposit(cfg, folder / 'iter_2.pth', fixed_spec(cfg), known[name])
        return known[name]

    return make


def of(name):
    cases = dict(name=name, own=f'{name}_sub-tasks')
    marks = () if name in QUICK else (pytest.mark.slow,)
    return pytest.param(*cases.values(), marks=marks, id=name)


@pytest.mark.parametrize(
    ('name', 'own'), [*map(of, NAMES), ('nyud_vit-b', 'nyud_vit-b_video_sub-tasks')]
)
def test_two_steps_of_the_base_and_of_each_stage(layouts, bases, tmp_path, monkeypatch, name, own):
    monkeypatch.chdir(layouts)
    cfg = Config.fromfile(FOLDER / f'{own}.py')
    cfg.base = str(bases(name))
    if 'video' in own:
        clips = cfg.computation_sharing.activations.tasks.depth.train_dataloader.dataset
        # There are few images.
        clips.update(clip_length=2, clip_after=0)
        frames = cfg.computation_sharing.activations.train_cfg.step.frames
        frames.update(first=-1, last=0)
    monkeypatch.setattr(sub_tasks, 'resolve_joint_config', small)
    # One task is enough: stages are the same for all.
    task = next(iter(cfg.tasks))
    path = sub_tasks.share_computation(cfg, tmp_path / 'work', [task])
    deposit = Deposit(path)
    assert list(deposit.tasks) == [cfg.inherit, task]
    assert deposit.specific_kinds[task].bases == (cfg.inherit,)
    assert len(list(describe_differences(path))) == 3


@pytest.mark.parametrize('name', NAMES)
def test_settings_are_the_papers(layouts, monkeypatch, name):
    monkeypatch.chdir(layouts)
    base, cfg = (Config.fromfile(FOLDER / f'{name}_{kind}.py') for kind in ('base', 'sub-tasks'))
    rate, batch = (1e-4, 64) if name.startswith('nyud') else (5e-5, 6)
    for each in (base, cfg):
        optimizer = each.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', rate, 1e-6)
    for stage in sub_tasks.STAGES:
        found = cfg.computation_sharing[stage]
        step, steps = found.train_cfg.step, found.train_cfg.max_iters
        optimizer = step.optim_wrapper.optimizer
        assert (optimizer.lr, optimizer.weight_decay) == (rate, 1e-6)
        gates = step.optim_wrapper.paramwise_cfg.custom_keys.gates.lr_mult
        assert gates * rate == pytest.approx(0.1)
        assert all(s.type == 'PolyLR' and s.end == steps for s in found.param_scheduler)
        assert step.param_scheduler == found.param_scheduler
    assert 1e-8 <= cfg.computation_sharing.gates.train_cfg.step.lambda_w <= 1e-7
    penalty = cfg.computation_sharing.activations.train_cfg.step.activations
    assert 1e-10 <= penalty.coefficient / batch <= 1e-9
    tasks = 4 if name.startswith('nyud') else 5
    assert len(cfg.tasks) == tasks - 1 and [*base.tasks] == [cfg.inherit]
    cfg = resolve_joint_config(base)
    assert cfg.train_dataloader[base.tasks and next(iter(base.tasks))].batch_size == batch


def test_the_table_names_all_of_them():
    text = (FOLDER / 'README.md').read_text()
    for path in FOLDER.glob('*.py'):
        assert f'`{path.name}`' in text
        tool = 'train' if path.stem.endswith('_base') else 'share_computation'
        assert f'tools/{tool}.py configs/computation_sharing/{path.name}' in path.read_text()
    lambdas = re.findall(r'lambda_w=(\S+)', text)
    assert lambdas
