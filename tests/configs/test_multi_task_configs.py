"""Plain multi-task training: one stock architecture, everything shared, upstream's tasks."""

import ast
import json
import random
import re

import pytest
import torch
from helpers import ROOT, build_runner
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from real_layout import SIZE, shrink_images, write_data

from mdl_nas_mm.engine import MultiTaskTrainLoop
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import MultiTaskModel, resolve_joint_config, task_scope
from mdl_nas_mm.utils.upstream import upstream_config_path

FOLDER = ROOT / 'configs' / 'multi_task'
TASKS = {
    'swin-t_cls-det-seg': ('cls', 'det', 'seg'),
    'swin-t_det-pose': ('det', 'pose'),
}


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


@pytest.fixture(scope='module')
def resolve():
    """Name -> resolved config and its joint model, without memory for its weights."""
    known = {}

    def resolve(name):
        if name not in known:
            cfg = resolve_joint_config(load(name), check_files=False)
            with torch.device('meta'), task_scope('mdl_nas_mm'):
                known[name] = cfg, MODELS.build(cfg.model)
        return known[name]

    return resolve


def shapes(module):
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def test_these_are_all_configs():
    assert sorted(path.stem for path in FOLDER.glob('*.py')) == sorted(TASKS)


@pytest.mark.parametrize('name', TASKS)
def test_one_architecture_wholly_shared(name, resolve):
    cfg, model = resolve(name)
    space = model.backbone.space
    assert tuple(cfg.tasks) == tuple(model.tasks) == TASKS[name]
    assert space.sandwich(random.Random(0)) == [space.largest()]
    assert not any('.specific.' in key for key in model.backbone.state_dict())
    shared = sum(parameter.numel() for parameter in model.parameters_by_owners()[ALL])
    assert shared == sum(parameter.numel() for parameter in model.backbone.parameters())


@pytest.mark.parametrize('name', TASKS)
def test_all_but_the_backbone_is_upstreams(name, resolve):
    """Necks and heads have the stock model's weights; the backbone has as many as the stock one."""
    given = load(name).tasks
    _, model = resolve(name)
    for task in TASKS[name]:
        upstream = Config.fromfile(upstream_config_path(given[task].config))
        with task_scope(upstream.default_scope):
            stock = ROOT_MODELS.build(upstream.model)
        backbone = stock.backbone
        del stock.backbone
        assert shapes(stock) == shapes(model.tasks[task])
        parameters = dict(model.backbone.named_parameters())
        # Only dense tasks have norms behind the first stages.
        for stage in {0, 1, 2, 3} - set(backbone.out_indices):
            del parameters[f'norm{stage}.weight'], parameters[f'norm{stage}.bias']
        expected = sum(parameter.numel() for parameter in backbone.parameters())
        assert sum(parameter.numel() for parameter in parameters.values()) == expected


@pytest.mark.parametrize('name', TASKS)
def test_starts_from_the_zoos_swin(name):
    cfg = load(name)
    zoo = Config.fromfile(ROOT / 'configs' / 'zoo' / 'swin-t_seq_joint-1x.py')
    assert cfg.backbone.init_cfg == dict(type='Pretrained', checkpoint=zoo.weights)
    assert cfg.load_from is None


@pytest.mark.parametrize('name', TASKS)
def test_header_has_the_commands(name):
    """For this config, with as many processes as batches where it gives one to each."""
    cfg = load(name)
    header = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    commands = re.findall(r'tools/train\.py (?:\\\s+)?configs/multi_task/([\w-]+)\.py', header)
    assert commands == [name] * 3
    assert f'--ntasks={sum(cfg.groups.values())} ' in header
    assert 'Expected: not measured.' in header
    last = cfg.param_scheduler[-1]
    assert last.begin + last.T_max == cfg.train_cfg.max_iters


def image_folders(loader):
    dataset = loader.dataset
    return {str(ROOT / dataset.data_root / path) for path in dataset.data_prefix.values()}


def test_both_tasks_read_the_same_images(resolve):
    cfg, _ = resolve('swin-t_det-pose')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert image_folders(loader.det) == image_folders(loader.pose)


def test_the_ten_lines_of_the_page(tmp_path, monkeypatch):
    """With upstream's own configs as the two that somebody has."""
    text = (ROOT / 'docs' / 'multi_task.md').read_text()
    lines = text.partition('```python\n')[2].partition('```')[0].splitlines()
    assert len(lines) == 10
    base = str(ROOT / 'configs' / '_base_' / 'joint_runtime.py')
    joint = tmp_path / 'joint.py'
    joint.write_text('\n'.join(lines).replace('../_base_/joint_runtime.py', base))
    own = dict(det='my_mask_rcnn.py', seg='my_upernet.py')
    given = load('swin-t_cls-det-seg').tasks
    for task, name in own.items():
        upstream = upstream_config_path(given[task].config)
        (tmp_path / name).write_text(f'_base_ = [{str(upstream)!r}]\n')
    cfg = resolve_joint_config(Config.fromfile(joint), check_files=False)
    with torch.device('meta'), task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    assert {task: cfg.tasks[task].scope for task in model.tasks} == dict(det='mmdet', seg='mmseg')
    assert model.tasks.det.neck.in_channels == list(model.backbone.out_channels)


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    """A folder with data sets as upstream's configs expect them in the current folder."""
    folder = tmp_path_factory.mktemp('layout')
    write_data(folder)
    write_persons(folder / 'data' / 'coco' / 'annotations')
    return folder


def write_persons(folder):
    """A person with all joints in each COCO image of ``write_data``."""
    height, width = SIZE
    joints = [[8 + 3 * i, 6 + 3 * i, 2] for i in range(17)]
    category = dict(id=1, name='person', keypoints=[f'joint_{i}' for i in range(17)], skeleton=[])
    for split in ('train2017', 'val2017'):
        images = json.loads((folder / f'instances_{split}.json').read_text())['images']
        persons = [
            dict(
                id=image['id'],
                image_id=image['id'],
                category_id=1,
                bbox=[4, 2, 60, 60],
                area=3600,
                iscrowd=0,
                num_keypoints=17,
                keypoints=sum(joints, []),
            )
            for image in images
        ]
        content = dict(images=images, annotations=persons, categories=[category])
        (folder / f'person_keypoints_{split}.json').write_text(json.dumps(content))
    assert max(x for x, _, _ in joints) < width and max(y for _, y, _ in joints) < height


def small(name, layout):
    """A config for steps on two small images a task, from random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(layout)
        cfg = resolve_joint_config(load(name))
    shrink_images(cfg, layout)
    cfg.model.backbone.init_cfg = None
    if 'cls' in cfg.tasks:
        cfg.model.tasks.cls.model.head.init_cfg = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('name', TASKS)
def test_one_joint_step(name, layout, tmp_path, monkeypatch):
    """One pass a task, of the whole architecture; the backbone and every head learn from it."""
    passes, loss, run_iter = [], MultiTaskModel.loss, MultiTaskTrainLoop.run_iter

    def recording(self, task, spec, data):
        total, parts = loss(self, task, spec, data)
        passes.append((task, spec, total.item()))
        return total, parts

    def run_one(self, batches):
        run_iter(self, batches)
        self.stop_training = True

    monkeypatch.setattr(MultiTaskModel, 'loss', recording)
    monkeypatch.setattr(MultiTaskTrainLoop, 'run_iter', run_one)
    cfg = small(name, layout)
    cfg.train_cfg.dry_run = False
    runner = build_runner(cfg, tmp_path)
    model = runner.model
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    runner.train()
    assert [task for task, _, _ in passes] == list(TASKS[name])
    assert {spec for _, spec, _ in passes} == {model.backbone.space.largest()}
    # In the mean of gradients no task is lost beside another.
    losses = [cfg.tasks[task].loss_weight * value for task, _, value in passes]
    assert max(losses) < 10 * min(losses)
    moved = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    blocks = {key for key in before if re.match(r'backbone\.stages\.\d\.blocks\.\d\.', key)}
    weights = {key for key in blocks if key.endswith('.weight')}
    assert weights <= moved
    for task in TASKS[name]:
        own = {key for key in before if key.startswith(f'tasks.{task}.') and before[key].ndim > 1}
        assert own & moved
