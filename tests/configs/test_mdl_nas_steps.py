"""One joint step of the paper's configs on real data set classes, heads and losses."""

import copy

import pytest
import torch
from helpers import ROOT, build_runner
from mmengine.config import Config
from real_layout import shrink_images, write_data

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.engine import MultiTaskTrainLoop
from mdl_nas_mm.tasks import MultiTaskModel, fixed_spec, resolve_joint_config

NAMES = ['mdl-nas-t_seq_searched', 'mdl-nas-b_seq_separate-det']
# They stand for all: of both backbones, of joint and of separate training.
OTHERS = sorted(path.stem for path in (ROOT / 'configs' / 'mdl_nas').glob('*.py'))
NAMES += [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS if name not in NAMES]


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    """A folder with data sets as upstream's configs expect them in the current folder."""
    folder = tmp_path_factory.mktemp('layout')
    write_data(folder)
    return folder


@pytest.fixture(autouse=True)
def stop_after_one_step(monkeypatch):
    """With the schedule as it is, of which the warm-up is the beginning."""
    run_iter = MultiTaskTrainLoop.run_iter

    def run_one(self, batches):
        run_iter(self, batches)
        self.stop_training = True

    monkeypatch.setattr(MultiTaskTrainLoop, 'run_iter', run_one)


def resolve(name, layout):
    """A config for one step without a pre-trained checkpoint, on small images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(layout)
        cfg = resolve_joint_config(Config.fromfile(ROOT / 'configs' / 'mdl_nas' / f'{name}.py'))
    shrink_images(cfg, layout)
    cfg.load_from = cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    # Its passes would be counted.
    cfg.train_cfg.dry_run = False
    return cfg


def cut_depth(cfg, depth):
    """Leaves ``depth`` blocks of each stage; widths, heads and share ratios stay."""

    def cut(stages):
        for stage in stages:
            for key in ('num_heads', 'mlp_ratio', 'attn_share_ratio', 'ffn_share_ratio'):
                if key in stage:
                    # The last stage of some architectures has one block.
                    stage[key] = (stage[key] * depth)[:depth]
            stage['depth'] = depth
        return stages

    family = family_of(cfg.model.backbone)
    cfg.model.backbone.space = cut(family.space(cfg.model.backbone.space).to_config())
    if cfg.get('subspace') is not None:
        cfg.subspace = cut(family.space(cfg.subspace).to_config())
    for spec in (cfg.get('joint_spec') or {}).values():
        cut(spec.stages)


@pytest.mark.parametrize('name', NAMES)
def test_one_step(name, layout, tmp_path, monkeypatch):
    """At the full widths; with few blocks, since the others add nothing new but time."""
    cfg = resolve(name, layout)
    is_vit = cfg.model.backbone.type == 'ElasticViT'
    cut_depth(cfg, 4 if is_vit else 2)
    if is_vit and 'seg' in cfg.tasks:
        cfg.model.backbone.out_indices.seg = (0, 1, 2, 3)
    passes, loss = [], MultiTaskModel.loss

    def recording(self, task, spec, data):
        passes.append((task, spec))
        return loss(self, task, spec, data)

    monkeypatch.setattr(MultiTaskModel, 'loss', recording)
    runner = build_runner(copy.deepcopy(cfg), tmp_path)
    backbone = runner.model.backbone
    before = {key: p.detach().clone() for key, p in backbone.named_parameters()}
    runner.train()
    moved = [key for key, p in backbone.named_parameters() if not torch.equal(p, before[key])]
    assert any('.specific.' not in key for key in moved)
    for task in cfg.tasks if backbone.sharing.has_specific else ():
        assert any(f'.specific.{task}.' in key for key in moved)
    joint = fixed_spec(cfg)
    if joint is not None:
        assert passes == [(task, joint[task]) for task in cfg.tasks]
    else:
        # A sandwich: the largest, the smallest, and two random ones.
        assert [task for task, _ in passes] == [task for task in cfg.tasks for _ in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mdl-nas-b_all-shared_joint-1x', 'mdl-nas-t_all-shared_joint-1x'])
def test_one_step_at_full_depth(name, layout, tmp_path):
    cfg = resolve(name, layout)
    runner = build_runner(cfg, tmp_path)
    before = {key: p.detach().clone() for key, p in runner.model.backbone.named_parameters()}
    runner.train()
    used = [f'blocks.{i}.attn.proj.weight' for i in range(16)]
    if cfg.model.backbone.type == 'ElasticSwin':
        depths = (2, 2, 8, 1)
        used = [
            f'stages.{s}.blocks.{i}.attn.proj.weight' for s in range(4) for i in range(depths[s])
        ]
    after = dict(runner.model.backbone.named_parameters())
    for key in used:
        assert not torch.equal(after[key], before[key])
