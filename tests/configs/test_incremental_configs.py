"""The paper's new data set and new task: every config resolves, builds, and says what is true."""

import json
import re

import cv2
import numpy as np
import pytest
from described import build, describe_deposit
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS
from new_tasks import describe_base
from real_layout import SIZE, write_data

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import Ledger
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

FOLDER = ROOT / 'configs' / 'incremental'
DOCS = ROOT / 'docs' / 'incremental.md'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))


def write_cub(root):
    """Two images a split, in the layout of CUB-200-2011."""
    (root / 'images' / '001.Bird').mkdir(parents=True)
    names = [f'001.Bird/bird_{i}.jpg' for i in range(4)]
    for name in names:
        cv2.imwrite(str(root / 'images' / name), np.zeros((*SIZE, 3), np.uint8))
    numbered = list(enumerate(names, start=1))
    (root / 'images.txt').write_text('\n'.join(f'{i} {name}' for i, name in numbered))
    (root / 'image_class_labels.txt').write_text('\n'.join(f'{i} 200' for i, _ in numbered))
    (root / 'train_test_split.txt').write_text('\n'.join(f'{i} {i % 2}' for i, _ in numbered))


def write_persons(root):
    """The images of COCO's layout as persons with keypoints, and detected boxes."""
    for split in ('train2017', 'val2017'):
        content = json.loads((root / 'annotations' / f'instances_{split}.json').read_text())
        for note in content['annotations']:
            note.update(category_id=1, keypoints=[30, 20, 2] * 17, num_keypoints=17)
        names = [f'joint_{i}' for i in range(17)]
        content['categories'] = [dict(id=1, name='person', keypoints=names, skeleton=[])]
        path = root / 'annotations' / f'person_keypoints_{split}.json'
        path.write_text(json.dumps(content))
    boxes = [dict(image_id=1, category_id=1, bbox=[10, 8, 50, 40], score=0.9)]
    (root / 'person_detection_results').mkdir()
    name = 'COCO_val2017_detections_AP_H_56_person.json'
    (root / 'person_detection_results' / name).write_text(json.dumps(boxes))


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    """A folder with data sets and bases where the configs expect them."""
    folder = tmp_path_factory.mktemp('layout')
    write_data(folder)
    write_cub(folder / 'data' / 'CUB_200_2011')
    write_persons(folder / 'data' / 'coco')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in NAMES:
            cfg = Config.fromfile(FOLDER / f'{name}.py')
            base = folder / cfg.base
            base.parent.mkdir(parents=True, exist_ok=True)
            stem = base.parent.name if base.suffix == '.pth' else f'{base.stem}_searched'
            theirs = Config.fromfile(ROOT / 'configs' / 'mdl_nas' / f'{stem}.py')
            if base.is_file():
                continue
            if base.suffix == '.pth':
                describe_base(theirs, base)
            else:
                theirs = resolve_joint_config(theirs)
                describe_deposit(theirs, TRANSFORMER.read_joint(theirs.joint_spec), base)
    return folder


@pytest.fixture(scope='module')
def resolve(layout):
    known = {}

    def resolve(name):
        if name not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(layout)
                cfg = resolve_joint_config(Config.fromfile(FOLDER / f'{name}.py'))
            known[name] = cfg, build(cfg)
        return known[name]

    return resolve


def added(model, cfg):
    """Parameters of the new task's own, with its head."""
    ledger = Ledger(model.backbone.layout, model.backbone.sharing, {}, model.head_sizes())
    counts = ledger.count(TRANSFORMER.read_joint(cfg.joint_spec))
    (task,) = cfg.tasks
    return counts.specific[task] + counts.heads[task]


def test_there_is_one_for_every_row_of_the_papers_tables():
    rows = [f'mdl-nas-{size}_{kind}_cub' for size in 'bt' for kind in ('mask-s', 'mask-d', 'seq')]
    rows += [f'mdl-nas-b_{kind}_coco-pose' for kind in ('mask-s', 'mask-d', 'seq')]
    assert NAMES == sorted([*rows, 'mdl-nas-b_mask_cub_nothing-frozen'])


@pytest.mark.parametrize('name', NAMES)
def test_resolves_and_builds(name, resolve):
    cfg, model = resolve(name)
    (task,) = cfg.tasks
    assert task == ('pose' if name.endswith('pose') else 'cub')
    kind = 'all' if 'nothing' in name else 'scores' if 'mask-d' in name else 'specific'
    assert cfg.trained == cfg.model.trained == kind
    policy = 'Sequential' if 'seq' in name else 'Mask'
    assert {model.backbone.sharing[role].type for role in ('norm', 'attn', 'ffn')} == {policy}
    trained = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    own = {n for n, _ in model.backbone.named_parameters() if '.specific.' in n}
    scores = {n for n, _ in model.backbone.named_parameters() if n.endswith('.score')}
    assert trained >= own
    if kind != 'all':
        assert trained - own == (scores if kind == 'scores' else set())
    searched = {'b': 'mdl-nas-b', 't': 'mdl-nas-t'}[name[8]]
    archs = ROOT / 'configs' / 'mdl_nas' / 'archs'
    arch = archs / f'{searched}_{"seq" if "seq" in name else "mask"}.json'
    theirs = TRANSFORMER.read_joint(json.loads(arch.read_text()))['cls']
    assert TRANSFORMER.read_joint(cfg.joint_spec)[task] == theirs


@pytest.mark.parametrize('name', NAMES)
def test_header_has_the_commands_and_what_to_expect(name):
    header = (FOLDER / f'{name}.py').read_text().split('"""')[1]
    assert f'python tools/train.py configs/incremental/{name}.py' in header
    assert 'Hardware of the paper: not given.' in header and 'Expected:' in header
    if 'nothing' not in name:
        iterations = Config.fromfile(FOLDER / f'{name}.py').max_iters
        assert f'--checkpoint work_dirs/{name}/iter_{iterations}.pth' in header


def test_recipes_are_the_papers(resolve):
    cub, _ = resolve('mdl-nas-b_mask-s_cub')
    assert cub.optim_wrapper.optimizer.type == 'SGD' and cub.optim_wrapper.optimizer.lr == 0.01
    assert cub.optim_wrapper.optimizer.weight_decay == 5e-4
    assert cub.train_dataloader.cub.batch_size == 8
    assert cub.max_iters == 100 * -(-5994 // 8)
    assert cub.param_scheduler.T_max == cub.max_iters
    pipeline = cub.train_dataloader.cub.dataset.pipeline
    assert [step['crop_size'] for step in pipeline if 'crop_size' in step] == [384]
    pose, _ = resolve('mdl-nas-b_mask-s_coco-pose')
    assert pose.optim_wrapper.optimizer == dict(type='Adam', lr=5e-4)
    epoch = -(-149813 // (8 * pose.train_dataloader.pose.batch_size))
    assert pose.max_iters == 210 * epoch and pose.groups.pose == 8
    assert pose.param_scheduler[1].milestones == [170 * epoch, 200 * epoch]
    assert pose.model.tasks.pose.model.head.decoder.input_size == (192, 256)


@pytest.mark.parametrize('name', ['mdl-nas-t_seq_cub', 'mdl-nas-b_mask-s_coco-pose'])
def test_data_sets_read_the_layout(name, layout, resolve, monkeypatch):
    cfg, _ = resolve(name)
    (task,) = cfg.tasks
    monkeypatch.chdir(layout)
    for loader in ('train_dataloader', 'val_dataloader'):
        with task_scope(cfg.tasks[task].scope):
            dataset = DATASETS.build(cfg[loader][task].dataset)
        if task == 'cub':
            assert len(dataset) == 2 and dataset[0]['inputs'].shape == (3, 384, 384)
            assert len(dataset.metainfo['classes']) == 200
        else:
            assert dataset[0]['inputs'].shape == (3, 256, 192)
            assert dataset.metainfo['num_keypoints'] == 17


@pytest.mark.parametrize('name', [name for name in NAMES if '_seq_' in name])
def test_added_parameters_are_those_of_the_docs(name, resolve):
    """Where no scores, which are learned, decide them."""
    cfg, model = resolve(name)
    (row,) = [line for line in DOCS.read_text().splitlines() if f'`{name}`' in line]
    paper = re.search(r'([0-9.]+M) parameters added', (FOLDER / f'{name}.py').read_text())[1]
    assert row.split('|')[3:5] == [f' {paper} ', f' {added(model, cfg) / 1e6:.1f}M ']
