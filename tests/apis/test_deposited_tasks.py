"""What a user does with a trained supernet: deposit it, look into it, use its tasks."""

import copy
import json
import random
import shutil

import numpy as np
import pytest
import torch
from helpers import (
    ROOT,
    TASKS,
    build_runner,
    call_tool,
    differences,
    joint_config,
    only,
    plain,
    predict,
    random_joint,
    refusal_of_tool,
    write_config,
)
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import evaluate_deposit, load_task, save_deposit
from mdl_nas_mm.apis.metainfo import data_metainfo
from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.size_limit import _UNSTORED, SizeLimit
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import (
    ResolvedConfig,
    build_eval_loader,
    evaluate,
    resolve_joint_config,
    task_scope,
)
from mdl_nas_mm.tasks.model import build_task_model
from mdl_nas_mm.utils.amounts import shown_score
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.jsonable import from_json, to_json
from mdl_nas_mm.utils.upstream import upstream_config_path


@pytest.fixture(scope='module')
def cfg(data):
    return joint_config(data, 'Sequential', {'train_cfg.max_iters': 2})


@pytest.fixture(scope='module')
def supernet(cfg, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('supernet')
    cfg = copy.deepcopy(cfg)
    cfg.val_cfg = None
    build_runner(cfg, folder).train()
    return folder / 'iter_2.pth'


@pytest.fixture(scope='module')
def model(cfg, supernet):
    return load_supernet(resolve_joint_config(cfg), supernet)


@pytest.fixture(scope='module')
def joint(model):
    return random_joint(model, random.Random(7))


@pytest.fixture(scope='module')
def deposit(cfg, supernet, joint, tmp_path_factory):
    path = tmp_path_factory.mktemp('deposit') / 'all.safetensors'
    save_deposit(resolve_joint_config(cfg), supernet, joint, path)
    return path


def test_deposit_is_smaller_than_separate_models(model, joint, deposit):
    counts = Deposit(deposit).counts
    assert counts == model.backbone.ledger(model.head_sizes()).count(joint)
    assert counts.total < counts.separate


def test_deposit_says_where_it_comes_from(supernet, deposit):
    provenance = Deposit(deposit).manifest['provenance']
    assert provenance['checkpoint'] == sha256_of(supernet)


@pytest.mark.parametrize('task', TASKS)
def test_deposited_task_scores_like_its_subnet(cfg, model, joint, deposit, task):
    """The upstream evaluator's every number, on the whole validation split."""
    known = resolve_joint_config(cfg).tasks[task]
    evaluation = known.evaluation(known.val)
    expected = evaluate(lambda batch: predict(model, task, joint[task], batch), evaluation)
    ((score, metrics),) = evaluate_deposit(deposit, [task]).values()
    assert metrics == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
    assert score == evaluation.scoring.score(expected)


def test_a_task_without_a_score_is_refused(deposit, monkeypatch):
    """Its images have no object of the size that counts."""
    none = lambda self, results: dict(bbox_mAP=-1.0)  # noqa: E731
    monkeypatch.setattr('mmdet.evaluation.CocoMetric.compute_metrics', none)
    with raises_naming(ValueError, "'det'", "'coco/bbox_mAP'", -1):
        evaluate_deposit(deposit, ['det'])


def test_loaded_task_predicts_without_anything_around_it(cfg, model, joint, deposit):
    """As an upstream model does, with nothing active and in any scope."""
    resolved = resolve_joint_config(cfg)
    loader = build_eval_loader('seg', 'mmseg', resolved.val_dataloader.seg)
    batch = next(iter(loader))
    loaded = load_task(deposit, 'seg')
    with torch.no_grad():
        found = loaded.test_step(copy.deepcopy(batch))
        expected = predict(model, 'seg', joint['seg'], copy.deepcopy(batch))
    assert differences(plain(found), plain(expected)) == []


def test_deposit_needs_no_supernet_nor_its_config(supernet, deposit, tmp_path, monkeypatch):
    """The file alone, moved elsewhere and read from another folder."""
    copied = tmp_path / 'moved.safetensors'
    copied.write_bytes(deposit.read_bytes())
    monkeypatch.chdir(tmp_path)
    for task in TASKS:
        first, second = load_task('moved.safetensors', task), load_task(deposit, task)
        assert differences(dict(first.state_dict()), dict(second.state_dict())) == []


@pytest.mark.parametrize('use', [load_task, lambda path, task: evaluate_deposit(path, [task])])
def test_unknown_task_is_named(deposit, use):
    with raises_naming(ValueError, "'pose'", "['cls', 'det', 'seg']"):
        use(deposit, 'pose')


def test_checkpoint_of_another_space_is_refused(cfg, supernet, joint, tmp_path):
    other = copy.deepcopy(cfg)
    other.backbone.space.embed_dim = (16, 20, 24)
    with raises_naming(ValueError, 'stage 0', 'embed_dim'):
        save_deposit(resolve_joint_config(other), supernet, joint, tmp_path / 'a.safetensors')
    assert not list(tmp_path.iterdir())


def test_deposit_tool(cfg, supernet, joint, deposit, tmp_path, monkeypatch, capsys):
    """pack, list and test; what is refused, in one line and with nothing written."""
    config = write_config(cfg, tmp_path / 'mine.py')
    chosen = tmp_path / 'joint_spec.json'
    chosen.write_text(json.dumps(dict(joint_spec=joint.to_dict())))
    out = tmp_path / 'out.safetensors'
    packing = ['pack', config, '--checkpoint', supernet, '--out', out, '--joint-spec']
    call_tool(monkeypatch, 'deposit', *packing, chosen)
    counts = Deposit(deposit).counts
    assert f'{counts.total:,} parameters, {counts.separate:,} as' in capsys.readouterr().out
    assert Deposit(out).manifest['hashes'] == Deposit(deposit).manifest['hashes']
    call_tool(monkeypatch, 'deposit', 'list', out)
    listed = capsys.readouterr().out
    assert f'{counts.total:,} parameters, {counts.separate:,} as separate models' in listed
    rows = [line.split() for line in listed.splitlines()]
    assert [row[:4] for row in rows[1:4]][1] == ['det', 'mmdet', 'coco/bbox_mAP', '-']
    call_tool(monkeypatch, 'deposit', 'test', out, '--task', 'cls')
    ((score, _),) = evaluate_deposit(out, ['cls']).values()
    assert f'cls: accuracy/top1 = {shown_score(score)}' in capsys.readouterr().out

    def says(*args):
        return refusal_of_tool(monkeypatch, 'deposit', *args)

    out.unlink()
    fewer = {task: spec for task, spec in joint.to_dict().items() if task != 'det'}
    chosen.write_text(json.dumps(dict(joint_spec=fewer)))
    assert_names(says(*packing, chosen), 'error: ', 'joint spec', "'det'")
    assert_names(says('list', out), 'error: ', f'deposit {out}')
    assert_names(says('test', deposit, '--task', 'pose'), f'deposit {deposit}', "'pose'")
    assert not out.exists()


def test_joint_spec_outside_the_space_is_refused(cfg, supernet, joint, tmp_path):
    specs = joint.to_dict()
    specs['cls']['stages'][0]['mlp_ratio'][0] = 3
    with raises_naming(ValueError, "'cls'", 'stage 0, block 0, mlp_ratio', 3.0, (1, 2)):
        save_deposit(
            resolve_joint_config(cfg),
            supernet,
            TRANSFORMER.read_joint(specs),
            tmp_path / 'a.safetensors',
        )
    assert not list(tmp_path.iterdir())


def test_class_names_are_in_the_deposit(deposit):
    """Of the data set's class, its config, or its folders."""
    tasks = Deposit(deposit).tasks
    assert list(tasks['cls']['metainfo']['classes']) == [str(digit) for digit in range(10)]
    assert len(tasks['det']['metainfo']['classes']) == 10
    imagenet = dict(type='ImageNet', data_root='', split='')
    assert classes('mmpretrain', imagenet)[0].startswith('tench')
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='CocoDataset'))
    assert tuple(classes('mmdet', wrapped)[:2]) == ('person', 'bicycle')
    assert classes('mmpretrain', dict(type='CustomDataset')) is None


def classes(scope, dataset):
    return data_metainfo('a', scope, dict(dataset=dataset)).get('classes')


def test_keypoints_are_in_the_deposit_and_not_the_name_of_their_file(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    loader = Config.fromfile('configs/demo/tasks/pose.py').val_dataloader
    # As configs of mmpose name theirs.
    loader.dataset.metainfo = dict(from_file='configs/demo/tasks/digit_keypoints.py')
    with task_scope('mmpose'):
        expected = parse_pose_metainfo(loader.dataset.metainfo)
    kept = dict(scope='mmpose', score='coco/AP', loss_weight=1.0, score_weight=1.0)
    loaders = [f'{split}_dataloader' for split in ('train', 'val', 'search')]
    evaluators = ['val_evaluator', 'search_evaluator']
    cfg = ResolvedConfig(
        dict(
            tasks=dict(pose=kept),
            model=dict(tasks=dict(pose=dict(model=dict()))),
            **{key: dict(pose=loader) for key in loaders},
            **{key: dict(pose=dict(type='CocoMetric')) for key in evaluators},
        )
    )
    info = from_json(json.loads(json.dumps(to_json(task_infos(cfg, {})['pose']))))
    monkeypatch.chdir(tmp_path)
    found = parse_pose_metainfo(info['val_dataloader']['dataset']['metainfo'])
    assert 'from_file' in loader.dataset.metainfo and found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.array_equal(found[key], value), key


def test_a_stock_mask_rcnn_is_not_too_large():
    """Its box head builds layers for other features first, and then those that are stored."""
    model = Config.fromfile(
        upstream_config_path('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py')
    ).model
    model.backbone = dict(type='mdl_nas_mm.BackboneSlot')
    model.pop('pretrained', None)
    task = dict(scope='mmdet', model=model)
    parameters = list(build_task_model(task, None).parameters())
    stored = sum(parameter.numel() for parameter in parameters)
    with SizeLimit(stored, len(parameters), 'a.safetensors'):
        build_task_model(task, None)
    beyond = SizeLimit(stored - _UNSTORED, len(parameters), 'a.safetensors')
    with raises_naming(ValueError, 'a.safetensors'), beyond:
        build_task_model(task, None)


def test_deposit_tool_changes_and_checks(data, cfg, supernet, joint, tmp_path, monkeypatch, capsys):
    """pack with scores, add, list, verify and remove."""
    some = write_config(only(copy.deepcopy(cfg), 'cls', 'seg'), tmp_path / 'some.py')
    one = write_config(only(copy.deepcopy(cfg), 'det'), tmp_path / 'one.py')
    parts = dict(some=tmp_path / 'some.pth', one=tmp_path / 'one.pth')
    for path, config in ((parts['some'], some), (parts['one'], one)):
        write_part(supernet, config, path)
    chosen, out = tmp_path / 'joint_spec.json', tmp_path / 'out.safetensors'
    chosen.write_text(json.dumps(joint.to_dict()))
    given = ['--joint-spec', chosen, '--scored', '--checkpoint']
    call_tool(monkeypatch, 'deposit', 'pack', some, *given, parts['some'], '--out', out)
    before = shutil.copy(out, tmp_path / 'before.safetensors')
    call_tool(monkeypatch, 'deposit', 'add', out, one, *given, parts['one'])
    capsys.readouterr()
    call_tool(monkeypatch, 'deposit', 'list', out)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for task, row in zip(('cls', 'seg', 'det'), rows[1:]):
        assert row[0] == task and row[3] == shown_score(Deposit(out).tasks[task]['scored'])
    call_tool(monkeypatch, 'deposit', 'verify', out, '--data', '--before', before)
    printed = capsys.readouterr().out
    assert f'all {len(Deposit(out).names())} tensors match their hashes' in printed
    for task in ('cls', 'seg'):
        assert f'{task}: largest difference to {before}: 0, ' in printed
    image = next(data.rglob('*.png'))
    args = ['--after', out, '--images', image]
    call_tool(monkeypatch, 'deposit', 'verify', '--before', before, *args)
    call_tool(monkeypatch, 'deposit', 'remove', out, '--task', 'det')
    assert Deposit(out).manifest['hashes'] == Deposit(before).manifest['hashes']

    def says(*args):
        return refusal_of_tool(monkeypatch, 'deposit', *args)

    assert_names(says('remove', out, '--task', 'det'), out, "'det'", ['cls', 'seg'])
    note = tmp_path / 'note.png'
    note.write_text('no image')
    unread = says('verify', '--before', before, '--after', out, '--images', note)
    assert_names(unread, 'error: ', note, 'OpenCV')
    content = bytearray(out.read_bytes())
    content[-1] ^= 1
    out.write_bytes(content)
    assert_names(says('verify', out), f'deposit {out}', "'")
    with pytest.raises(SystemExit) as wrong:
        call_tool(monkeypatch, 'deposit', 'verify', '--before', before)
    assert wrong.value.code == 2
    said = capsys.readouterr().err
    assert 'deposit' in said and '--after' in said


def write_part(supernet, config, path):
    """A checkpoint of a supernet that has just the tasks of a config."""
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(resolve_joint_config(Config.fromfile(config)).model)
    checkpoint = torch.load(supernet, map_location='cpu', weights_only=False)
    state = {key: checkpoint['state_dict'][key] for key in model.state_dict()}
    torch.save(dict(state_dict=state, meta=checkpoint['meta']), path)
