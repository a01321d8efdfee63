"""Joint trainings on the layouts of published data sets, on small files of these layouts."""

import copy
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from documentation.pages import files
from helpers import ROOT, build_runner
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR100
from scenes.files import image, save
from scenes.layouts import (
    write_cifar100,
    write_cityscapes,
    write_mtan,
    write_nyud,
    write_pascal,
    write_taskonomy,
)

from mdl_nas_mm.datasets.hold_out import hold_out
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search import run_search
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.pass_groups import pass_groups_of

FOLDER = ROOT / 'configs' / 'scenes'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
SINGLE = sorted(path.stem for path in (FOLDER / 'tasks').glob('*.py'))
# One of each data set, and each backbone, by default.
QUICK = (
    'ecmt-mbv2_pascal-5tasks',
    'ecmt-r34_nyud-3tasks',
    'ecmt-r9_cifar100-20tasks',
    'r18_cifar100-20tasks',
    'r50_mtan-cityscapes-2tasks',
    'swin-t_cityscapes-2tasks',
    'swin-t_nyud-3tasks',
    'swin-t_taskonomy-5tasks',
    'vit-b_pascal-5tasks',
)
QUICK_SINGLE = ('cifar100', 'mtan_cityscapes_seg', 'nyud_normals', 'taskonomy_class_object')
SIDE = 64
# As wide as the published ones, so that heads fit, and one block deep.
SPACES = {
    'swin-t': [dict(embed_dim=96 << i, depth=1, num_heads=3 << i, mlp_ratio=1) for i in range(4)],
    'deit-b-elastic': dict(embed_dim=(640, 768), depth=1, num_heads=(10, 12), mlp_ratio=1),
}


def of(names, quick):
    return [
        pytest.param(name, marks=() if name in quick else (pytest.mark.slow,)) for name in names
    ]


@pytest.fixture(scope='module')
def layouts(tmp_path_factory):
    """A folder whose ``data`` has all data sets; both splits have the same images."""
    root = tmp_path_factory.mktemp('scenes')
    data, size = root / 'data', (72, 96)
    write_nyud(data / 'NYUDv2', 'atrc', size=size)
    pascal, mtan = data / 'PASCALContext', data / 'cityscapes2'
    write_pascal(pascal, size)
    shutil.copytree(pascal / 'ImageSets' / 'Parts', pascal / 'ImageSets' / 'Context')
    shutil.copy(pascal / 'ImageSets/Parts/train.txt', pascal / 'ImageSets/Context/val.txt')
    write_cityscapes(data / 'cityscapes', size)
    write_mtan(mtan, size)
    shutil.rmtree(mtan / 'train' / 'normal')
    for path in (mtan / 'train' / 'label').iterdir():
        np.save(path, np.arange(size[0] * size[1]).reshape(size) % 8 - 1.0)
    shutil.copytree(mtan / 'train', mtan / 'val')
    # Structural similarity needs that much.
    write_taskonomy(data / 'taskonomy', (176, 192))
    split = b'id,train,val,test\rallensville,1,1,0\rbeechwood,1,0,0\r'
    (data / 'taskonomy' / 'train_val_test_tiny.csv').write_bytes(split)
    write_cifar100(data / 'cifar100')
    return root


@pytest.fixture(autouse=True)
def in_layouts(layouts, monkeypatch):
    monkeypatch.chdir(layouts)
    # Else their sums are compared with those of the real files.
    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])


def shrink(config):
    """Two images a batch, of few pixels, in this process, from random weights."""
    for key, value in list(config.items() if isinstance(config, dict) else enumerate(config)):
        if key in ('size', 'crop_size') and isinstance(value, tuple):
            config[key] = (SIDE, SIDE)
        elif key == 'scale':
            config[key] = (SIDE, SIDE) if value == (224, 224) else (96, 72)
        elif key == 'scales':
            config[key] = [(96, 72), (128, 96)]
        elif key == 'num_workers':
            config.update(num_workers=0, persistent_workers=False)
        elif key == 'batch_size':
            config[key] = 2
        elif key == 'init_cfg':
            config[key] = None
        elif isinstance(value, (dict, list)):
            shrink(value)


def small_joint(name):
    return small(Config.fromfile(FOLDER / f'{name}.py'), name)


def small(cfg, name):
    if 'cifar100' in name and not name.startswith('r18'):
        # All twenty are in the one of the cheapest network.
        cfg.tasks = dict(list(cfg.tasks.items())[:4])
    cfg.backbone.space = SPACES.get(cfg.backbone.space, cfg.backbone.space)
    if 'held_out_images' in cfg:
        cfg.held_out_images = dict.fromkeys(cfg.held_out_images, 1)
        list(hold_out(cfg))
    cfg = resolve_joint_config(cfg)
    for key in ('model', 'train_dataloader', 'val_dataloader', 'search_dataloader'):
        shrink(cfg[key])
    if name.startswith('r18'):
        cfg.model.backbone.module.update(base_channels=8, stem_channels=8)
        for task in cfg.model.tasks.values():
            task.model.head.in_channels = 64
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.param_scheduler = None
    if 'recalibrate_images' in cfg:
        cfg.recalibrate_images = 2
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None
    return cfg


@pytest.mark.parametrize('name', of(NAMES, QUICK))
def test_two_steps_and_a_validation(name, tmp_path):
    """All tasks learn, in one pass if they have the same images, and all have a score."""
    cfg = small_joint(name)
    groups = pass_groups_of(cfg).of
    is_cifar = 'cifar100' in name
    assert len(groups) == len(cfg.tasks) if is_cifar else groups.popitem()[1] == ((*cfg.tasks,),)
    runner = build_runner(cfg, tmp_path)
    runner.train()
    history = runner.message_hub.log_scalars
    for task in cfg.tasks:
        losses = history[f'train/{task}/loss'].data[0]
        assert len(losses) == 2 and all(map(math.isfinite, losses)), task
        metric = cfg.tasks[task].score.metric
        assert f'val/{task}/{metric}' in history, task
    assert math.isfinite(history['val/s_score'].data[0][-1])


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in NAMES if name.startswith('vit-b')])
def test_a_search_of_what_is_to_be_searched(name, tmp_path):
    cfg = small_joint(name)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=2)
    cfg.train_cfg.val_interval = 10
    evolution = dict(population=2, generations=1, parents=1, crossovers=0, mutations=0)
    cfg.search_cfg = dict(budget='1G', evolution=evolution)
    build_runner(copy.deepcopy(cfg), tmp_path).train()
    found = run_search(cfg, tmp_path / 'iter_2.pth', tmp_path / 'search')
    assert set(found.scores) == set(cfg.tasks) and math.isfinite(found.score)


@pytest.mark.parametrize('name', of(SINGLE, QUICK_SINGLE))
def test_tasks_train_alone_with_upstreams_runner(name, tmp_path):
    cfg = Config.fromfile(FOLDER / 'tasks' / f'{name}.py')
    shrink(cfg._cfg_dict)
    cfg.work_dir = str(tmp_path)
    by_epoch = cfg.train_cfg.pop('max_epochs', None) is not None
    cfg.train_cfg.pop('by_epoch', None)
    cfg.train_cfg.update(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    cfg.default_hooks, cfg.param_scheduler = dict(checkpoint=None), None
    assert by_epoch == (name == 'cifar100')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert any(key.startswith('val/') for key in runner.message_hub.log_scalars)


EVALUATED = sorted(FOLDER.glob('tasks/*.py')) + sorted(
    (ROOT / 'configs' / 'autotaskformer' / 'tasks').glob('*.py')
)


@pytest.mark.parametrize(
    'path', [p for p in EVALUATED if p.stem != 'cifar100'], ids=lambda path: path.stem
)
def test_an_image_to_predict_goes_through_the_pipeline_of_an_evaluation(path):
    """As mmseg's inferencer has it: of no data set, without labels and with no target made."""
    pipeline = Config.fromfile(path).val_dataloader.dataset.pipeline
    assert pipeline[0].type.rpartition('.')[2] in ('LoadImageFromFile', 'LoadSceneImage')
    pipeline[0] = dict(type='InferencerLoader')
    with DefaultScope.overwrite_default_scope('mmseg'):
        found = Compose(pipeline)(dict(img=np.full((72, 96, 3), 127, np.uint8)))
    assert not found['data_samples'].keys() and (found['inputs'] == 127).all()


def test_the_config_of_the_page(tmp_path):
    """For somebody's own images, masks and depth maps: as it stands there, on small files."""
    size, mine = (72, 96), Path('data', 'mine')
    for n in range(2):
        save(mine / 'images' / f'{n}.jpg', image(*size, seed=n))
        save(
            mine / 'masks' / f'{n}.png', np.arange(size[1], dtype=np.uint8)[None].repeat(72, 0) % 3
        )
        save(mine / 'depth' / f'{n}.png', np.full(size, 1500 + n, np.uint16))
    for split in ('train', 'val'):
        (mine / f'{split}.txt').write_text('0\n1\n')
    lines = files((ROOT / 'docs' / 'scenes.md').read_text())['rooms.py']
    assert len(lines.splitlines()) <= 15
    (tmp_path / 'rooms.py').write_text(lines)
    cfg = small(Config.fromfile(tmp_path / 'rooms.py'), 'mine')
    runner = build_runner(cfg, tmp_path / 'work')
    runner.train()
    history = runner.message_hub.log_scalars
    assert {'val/seg/mIoU', 'val/depth/rmse', 'val/s_score'} <= set(history)
    assert len(history['train/depth/loss'].data[0]) == 2


@pytest.mark.parametrize('name', NAMES)
def test_ignored_pixels_are_no_part_of_a_mean(name):
    """An image without persons has no human parts at all."""
    for task in small_joint(name).model.tasks.values():
        if task.model.type == 'EncoderDecoder':
            assert task.model.decode_head.loss_decode.avg_non_ignore


@pytest.mark.parametrize(
    ('name', 'weights'),
    [
        ('swin-t_nyud-4tasks', dict(seg=1, depth=1, normals=10, edges=50)),
        ('swin-t_pascal-5tasks', dict(seg=1, parts=2, saliency=5, normals=10, edges=50)),
    ],
)
def test_weights_and_losses_are_those_of_atrc_and_invpt(name, weights):
    cfg = resolve_joint_config(Config.fromfile(FOLDER / f'{name}.py'))
    assert {task: info.loss_weight for task, info in cfg.tasks.items()} == weights
    for task in {'edges', 'saliency'} & set(weights):
        with DefaultScope.overwrite_default_scope('mmseg'):
            (loss,) = MODELS.build(cfg.model.tasks[task].model.target).loss
        assert (type(loss).__name__, loss.pos_weight) == ('BalancedBCELoss', 0.95)


def test_losses_of_taskonomy_are_the_published():
    """L1 of images, both depths on a log scale, L2 of curvature and vanishing points."""
    others = dict.fromkeys(('depth', 'depth_euclidean'), 'LogDepthLoss')
    others |= dict.fromkeys(('segment_unsup2d', 'segment_unsup25d'), 'PixelEmbeddingLoss')
    others |= dict.fromkeys(('class_object', 'class_scene'), 'SoftCrossEntropyLoss')
    others |= dict.fromkeys(('curvature', 'vanishing_points'), 'MaskedL2Loss')
    found = {}
    for path in sorted((FOLDER / 'tasks').glob('taskonomy_*.py')):
        model = Config.fromfile(path).model
        if model.type != 'EncoderDecoder':
            label = path.stem.removeprefix('taskonomy_')
            with DefaultScope.overwrite_default_scope('mmseg'):
                (loss,) = MODELS.build(model.target).loss
            found[label] = type(loss).__name__
    assert found == dict.fromkeys(found, 'MaskedL1Loss') | others and len(found) == 15


def test_every_task_config_is_of_a_joint_one():
    used = {
        Path(task.config.partition('::')[2]).stem
        for name in NAMES
        for task in Config.fromfile(FOLDER / f'{name}.py').tasks.values()
    }
    assert used == set(SINGLE)


def test_the_table_names_all_of_them():
    text = (FOLDER / 'README.md').read_text()
    for name in NAMES:
        assert f'`{name}.py`' in text
        assert f'tools/train.py configs/scenes/{name}.py' in (FOLDER / f'{name}.py').read_text()
