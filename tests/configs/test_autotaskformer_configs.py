"""AutoTaskFormer's configs on small files of the published layouts."""

import math
import re

import pytest
import torch
from configs.test_scene_configs import FOLDER as SCENES
from configs.test_scene_configs import in_layouts, layouts, of, shrink  # noqa: F401
from helpers import ROOT, build_runner
from mmengine.config import Config
from shared_images import segmentor

from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.families.swin_unet import read_skeletons
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import given_spec, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.pass_groups import pass_groups_of

FOLDER = ROOT / 'configs' / 'autotaskformer'
NEW_TASKS = ('generalise_taskonomy-3tasks', 'transfer_nyud-3tasks')
NAMES = sorted(path.stem for path in FOLDER.glob('*.py') if path.stem not in NEW_TASKS)
QUICK = (
    's_cityscapes-2tasks_multi-scale',
    's_taskonomy-16tasks',
    's_taskonomy-16tasks_multi-scale',
)
WIDTHS = (8, 16, 16, 16)
SPACE = [
    dict(embed_dim=(width // 2, width), depth=1, num_heads=1, mlp_ratio=1, window_side=(2, 3))
    for width in WIDTHS
]


def narrow(config):
    """Heads with few channels, on few channels."""
    for key, value in list(config.items()):
        if key == 'in_channels' and isinstance(value, (list, tuple)):
            config[key] = WIDTHS
        elif key == 'channels' and 'type' in config and config['type'].endswith('Head'):
            config[key] = 4
        elif isinstance(value, dict):
            narrow(value)


def small(name):
    """Two steps of two images of 64 x 64 with a narrow tree of cells."""
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    cfg.backbone.update(space=SPACE, head_dim=4)
    if len(cfg.tasks) == 16:
        cfg.val_cfg = None
    cfg = resolve_joint_config(cfg)
    for key in ('model', 'train_dataloader', 'val_dataloader', 'search_dataloader'):
        shrink(cfg.get(key, {}))
    narrow(cfg.model.tasks)
    for name in {'segment_unsup2d', 'segment_unsup25d'} & set(cfg.tasks):
        cfg.model.tasks[name].model.target.loss = dict(
            type='mdl_nas_mm.PixelEmbeddingLoss', pixels=20
        )
    cfg.train_cfg.update(max_iters=2, val_interval=2, dry_run=False)
    cfg.train_cfg.sampler = dict(type='FixedSampler')
    cfg.param_scheduler, cfg.search_cfg = None, None
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None
    return cfg


@pytest.mark.parametrize('name', of(NAMES, QUICK))
def test_two_steps_and_a_validation(name, tmp_path):
    """All tasks learn on all skeletons of one pass; the few have a score as well."""
    cfg = small(name)
    assert pass_groups_of(cfg).of.popitem()[1] == ((*cfg.tasks,),)
    runner = build_runner(cfg, tmp_path)
    count = len(read_skeletons(cfg.backbone.skeletons))
    for task in runner.model.tasks.values():
        assert len(task.decode_head.heads) == count
    runner.train()
    history = runner.message_hub.log_scalars
    for task in cfg.tasks:
        losses = history[f'train/{task}/loss'].data[0]
        assert len(losses) == 2 and all(map(math.isfinite, losses)), task
        if cfg.val_cfg is not None:
            assert f'val/{task}/{cfg.tasks[task].score.metric}' in history, task
        if 'AutoTaskFormer' in cfg.train_cfg.step.type:
            entropies = history[f'train/{task}/skeleton_entropy'].data[0]
            assert entropies[0] == pytest.approx(math.log(count), abs=1e-3)


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_what_the_paper_says(name):
    """Tasks, sizes of batches, losses and schedules, without data."""
    cfg = resolve_joint_config(Config.fromfile(FOLDER / f'{name}.py'))
    assert len(cfg.tasks) == int(re.search(r'(\d+)tasks', name)[1])
    batch, epochs = (8, 200) if 'cityscapes' in name else (64, 30)
    images = 2975 if 'cityscapes' in name else 260_000
    assert {loader.batch_size for loader in cfg.train_dataloader.values()} == {batch}
    assert cfg.train_cfg.max_iters == pytest.approx(epochs * images / batch, rel=1e-3)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 5e-4, 0.05)
    assert cfg.param_scheduler[-1].eta_min == 5e-6
    step = cfg.train_cfg.step
    if step.type == 'AutoTaskFormerStep':
        assert step.temperature.steps == cfg.train_cfg.max_iters
        assert step.skeletons == cfg.backbone.skeletons
    for task in cfg.model.tasks.values():
        if task.model.type == 'EncoderDecoder':
            assert task.model.decode_head.head.loss_decode.avg_non_ignore


# Weight of the loss, and score of Swin-T alone, None where its definition is not told.
TABLE_7 = dict(
    class_object=(2, 47.9),
    class_scene=(2, 60.3),
    vanishing_points=(5, 1.567 / 100),
    semseg=(5, 31.0),
    depth_euclidean=(2, None),
    depth=(2, None),
    edges2d=(30, 0.945),
    edges3d=(10, 0.730),
    keypoints2d=(30, 0.966),
    keypoints3d=(10, 0.564),
    normals=(20, 0.757),
    curvature=(0.5, 0.673),
    reshading=(20, 0.687),
    autoencoding=(0.1, 0.960),
    segment_unsup2d=(1, None),
    segment_unsup25d=(1, None),
)


@pytest.mark.parametrize(
    'path', [FOLDER / 's_taskonomy-16tasks.py', SCENES / 'swin-t_taskonomy-16tasks.py']
)
def test_loss_weights_and_references_are_those_of_table_7(path):
    tasks = resolve_joint_config(Config.fromfile(path)).tasks
    found = {}
    for name, task in tasks.items():
        (of_alone,) = (task.reference or {None: None}).values()
        found[name] = task.loss_weight, of_alone
    assert found == {task: pytest.approx(numbers) for task, numbers in TABLE_7.items()}


def test_scores_are_those_of_the_baselines():
    ours, theirs = (
        {
            name: task.score
            for name, task in resolve_joint_config(Config.fromfile(path)).tasks.items()
        }
        for path in (FOLDER / 's_taskonomy-16tasks.py', SCENES / 'swin-t_taskonomy-16tasks.py')
    )
    assert ours == theirs


def test_heads_are_those_of_the_baselines():
    """A difference between them shall be one of the backbones."""
    ours, theirs = (
        resolve_joint_config(Config.fromfile(path)).model.tasks
        for path in (FOLDER / 's_taskonomy-16tasks.py', SCENES / 'swin-t_taskonomy-16tasks.py')
    )
    for name, task in ours.items():
        own, head = task.model.decode_head.head, theirs[name].model.decode_head
        assert own.type == head.type
        # Of FCNHead the defaults are two convolutions, and one more behind them and the input.
        for key, default in dict(channels=None, num_convs=2, concat_input=True).items():
            assert own.get(key, default) == head.get(key, default), name


def test_the_table_names_all_of_them():
    text = (FOLDER / 'README.md').read_text()
    for name in (*NAMES, *NEW_TASKS):
        assert f'`{name}.py`' in text
        assert f'configs/autotaskformer/{name}.py' in (FOLDER / f'{name}.py').read_text()


@pytest.fixture
def base(layouts):  # noqa: F811
    """A deposit of a narrow tree, with the tasks that new ones start from."""
    names = ('normals', 'autoencoding')
    backbone = dict(
        type='ElasticSwinUNet',
        space=SPACE,
        head_dim=4,
        sharing='AllShared',
        skeletons=['d3.1'],
        tasks=names,
    )
    tasks = {name: dict(scope='mmseg', model=segmentor(5, WIDTHS[0])) for name in names}
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))
    path = layouts / 'work_dirs' / 's_taskonomy-16tasks' / 'tasks.safetensors'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    joint = JointSpec(dict.fromkeys(names, model.backbone.space.largest()))
    pack(path, model, joint, backbone, tasks)
    return path


def new_tasks(name, width=WIDTHS[0]):
    """Two steps of the new tasks, whose heads take maps of a width."""
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    cfg.val_cfg = None
    cfg = resolve_joint_config(cfg)
    from_base = cfg.model.backbone.init_cfg
    for key in ('model', 'train_dataloader', 'search_dataloader'):
        shrink(cfg[key])
    cfg.model.backbone.init_cfg = from_base
    narrow(cfg.model.tasks)
    for task in cfg.model.tasks.values():
        task.model.decode_head.in_channels = width
    if 'jigsaw' in cfg.tasks:
        cfg.train_dataloader.jigsaw.dataset.pipeline[1].scale = (60, 60)
    cfg.train_cfg.update(max_iters=2, dry_run=False)
    cfg.param_scheduler = None
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=2)
    return cfg


@pytest.mark.parametrize('name', NEW_TASKS)
def test_new_tasks_begin_with_the_deposit(base, name, tmp_path):
    """New domains train its backbone on; new tasks leave it as it is, and are added to it."""
    cfg = new_tasks(name)
    runner = build_runner(cfg, tmp_path)
    backbone = runner.model.backbone
    backbone.init_weights()
    old = Deposit(base).load_task('normals').backbone.patch_embed.proj.weight
    assert torch.equal(backbone.patch_embed.proj.weight, old)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    runner.train()
    history = runner.message_hub.log_scalars
    for task in cfg.tasks:
        assert all(map(math.isfinite, history[f'train/{task}/loss'].data[0])), task
    changed = [n for n, value in backbone.state_dict().items() if not torch.equal(value, before[n])]
    assert bool(changed) == (name == 'transfer_nyud-3tasks')
    if not changed:
        old = {task: Deposit(base).region(task).weights.keys() for task in Deposit(base).tasks}
        add_to_deposit(cfg, tmp_path / 'iter_2.pth', given_spec(cfg), base, False)
        assert set(Deposit(base).tasks) == {*old, *cfg.tasks}
