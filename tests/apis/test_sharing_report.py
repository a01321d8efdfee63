"""Densities of a deposit's sub-tasks, thresholds that keep their scores, and sweeps."""

import json
import shutil

import cv2
import pytest
import torch
from apis.rooms_deposits import pack_rooms, room_images, rooms_config
from helpers import call_tool, refusal_of_tool
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer
from mdl_nas_mm.apis.differences import difference_of
from mdl_nas_mm.apis.key_frames import video_scores
from mdl_nas_mm.apis.reuse import read_thresholds
from mdl_nas_mm.apis.shared_scores import SharedModels, images_of, score_and_metrics, thresholds_for
from mdl_nas_mm.apis.sharing_report import densities_of, read_sweep
from mdl_nas_mm.apis.sub_tasks import share_computation
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.methods.computation_sharing import linear_layers
from mdl_nas_mm.methods.computation_sharing.running import SharingSettings, boundary
from mdl_nas_mm.visualization import plot_sweep

OPTIMIZER = dict(optimizer=dict(type='AdamW', lr=1e-2))
LAMBDA = 1e-6


def base_deposit(root, path):
    """Segmentation alone, whose blocks it owns."""
    cfg = rooms_config(root, sharing=dict(attn='AllSpecific', ffn='AllSpecific'))
    cfg.tasks = dict(seg=cfg.tasks.seg)
    return pack_rooms(path, cfg)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return room_images(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def trained(root, tmp_path_factory, quick_mmengine):
    """The folder of a training of two sub-tasks."""
    folder = tmp_path_factory.mktemp('trained')
    cfg = rooms_config(root)
    cfg.tasks = {task: cfg.tasks[task] for task in ('depth', 'edges')}
    for key in ('backbone', 'param_scheduler'):
        cfg.pop(key)
    cfg.base, cfg.inherit = str(base_deposit(root, folder / 'base.safetensors')), 'seg'
    step = dict(optim_wrapper=OPTIMIZER)
    loop = dict(type='MultiTaskTrainLoop', max_iters=2, val_interval=2, dry_run=False)
    cfg.pop('train_cfg')
    cfg.computation_sharing = dict(
        density=0.1,
        gates=dict(train_cfg=dict(loop, step=dict(step, type='GatedDifference', lambda_w=LAMBDA))),
        places=dict(train_cfg=dict(loop, step=dict(step, type='FixedDifference'))),
    )
    share_computation(cfg, folder / 'work')
    return folder / 'work'


@pytest.fixture(scope='module')
def deposit(trained):
    return trained / 'deposit.safetensors'


@pytest.fixture(scope='module')
def frames(root):
    return sorted(map(str, root.glob('images/*.png')))[:3]


def test_densities_are_those_of_weights_and_inputs(deposit, frames):
    opened, found = Deposit(deposit), densities_of(deposit, frames)
    assert list(found) == ['depth', 'edges']
    backbones = {task: opened.load_task(task).backbone for task in ('seg', 'depth')}
    weights, layers = difference_of(opened, 'depth').densities, found['depth']
    assert {f'{each.layer}.weight': pytest.approx(each.weight) for each in layers} == weights
    inputs = {task: [] for task in backbones}
    for task, backbone in backbones.items():
        for layer in linear_layers(backbone).values():
            layer.register_forward_pre_hook(lambda _, args, t=task: inputs[t].append(args[0]))
    pictures = images_of(opened, 'depth', batch_size=1)
    for backbone in backbones.values():
        for picture in pictures:
            with torch.no_grad():
                backbone(picture)
    # These are images of the validation split, others than the frames: where all differs, it
    # does of all images, and where nothing does, of none.
    pairs = zip(inputs['seg'], inputs['depth'])
    differ = [float((ours != theirs).float().mean()) for ours, theirs in pairs][: len(layers)]
    for each, own in zip(layers, differ):
        assert (each.task > 0.5) == (own > 0.5), each.layer


def test_thresholds_keep_the_score(deposit):
    opened = Deposit(deposit)
    exact, _, greater = score_and_metrics(opened, 'depth')
    found = thresholds_for(deposit, 20.0, tasks=['depth'], steps=3)
    blocks = sum(len(stage.blocks) for stage in opened.joint['depth'].stages)
    assert list(found) == ['depth'] and len(found['depth']) == blocks
    settings = SharingSettings('tasks', threshold=found, attention='queries')
    images = images_of(opened, 'depth')
    # A batch of another size says nothing of these.
    images.append(torch.nn.functional.pad(images[0], (0, 16)))
    models = SharedModels(opened, ('seg', 'depth'), settings, images)
    score, _, _ = score_and_metrics(opened, 'depth', models)
    assert (score - exact) * (1 if greater else -1) >= -0.2 * abs(exact) - 1e-6
    assert 0 < models.work['executed'] <= models.work['whole']
    assert [len(batch) for batch in images_of(opened, 'depth', 3)] == [2, 1]
    nothing = SharedModels(opened, ('seg', 'depth'), SharingSettings('tasks'))
    assert score_and_metrics(opened, 'depth', nothing)[0] == pytest.approx(exact, rel=1e-4)


def test_scores_of_videos_are_means_over_key_frames(deposit, frames):
    """Of images that are taken for a video, in which all differs."""
    everything = SharingSettings('both', execution='elements', moved=1.0)
    found = video_scores(deposit, everything, before=1)
    opened = Deposit(deposit)
    assert list(found) == ['seg', 'depth', 'edges']
    for task, own in found.items():
        alone, _, _ = score_and_metrics(opened, task, clip_length=2, batch_size=1)
        assert own.score == pytest.approx(alone, rel=1e-3), task
        assert own.executed > 0 and own.counted > 0
    nothing = video_scores(deposit, SharingSettings('none'), before=0)
    assert {own.executed for own in nothing.values()} == {1.0}
    with raises_naming(ValueError, "'seg'", 'clip_length=41'):
        video_scores(deposit, everything, before=40)
    with raises_naming(ValueError, 'before', -1):
        video_scores(deposit, everything, before=-1)


def test_the_command_writes_figures(deposit, trained, frames, tmp_path, monkeypatch, capsys):
    other = shutil.copytree(trained, tmp_path / 'other')
    facts = json.loads((other / 'summary.json').read_text())
    for own in facts.values():
        own['lambda_w'] *= 2
    (other / 'summary.json').write_text(json.dumps(facts))
    given = ('--deposit', deposit, '--video', *frames, '--loss', '50', '--sweep', other, trained)
    data = ('--data', 'ann_file=gt_sets/val.txt', '--key-frames', '0')
    call_tool(monkeypatch, 'sharing_report', *given, *data, '--out-dir', tmp_path / 'out')
    out = capsys.readouterr().out
    videos = json.loads((tmp_path / 'out' / 'videos.json').read_text())
    assert set(videos['depth']) == {'metric', 'score', 'executed', 'counted'}
    thresholds = read_thresholds(tmp_path / 'out' / 'thresholds.json')
    assert list(thresholds) == ['depth', 'edges']
    chosen = dict(reuse='tasks', thresholds=thresholds, device='cpu', show_progress=False)
    inferencer = MultiTaskInferencer(deposit, **chosen)
    assert len(inferencer(frames)['depth']['predictions']) == 3
    assert set(inferencer.saved.executed) == {'seg', 'depth', 'edges'}
    densities = json.loads((tmp_path / 'out' / 'densities.json').read_text())
    count = len(densities['edges']['layers'])
    assert f'edges: {densities["edges"]["boundary"]} of {count} layers' in out
    assert densities['depth']['boundary'] == boundary(densities_of(deposit, frames)['depth'])
    swept = json.loads((tmp_path / 'out' / 'sweep.json').read_text())
    assert [(each['task'], each['lambda_w']) for each in swept] == [
        (task, value) for task in ('depth', 'edges') for value in (LAMBDA, 2 * LAMBDA)
    ]
    for name in ('densities.png', 'sweep.png'):
        assert cv2.imread(str(tmp_path / 'out' / name)).std() > 0


def test_what_cannot_be_reported_is_one_line(root, deposit, trained, frames, tmp_path, monkeypatch):
    refuse = lambda *args: refusal_of_tool(monkeypatch, 'sharing_report', *args)  # noqa: E731
    base = base_deposit(root, tmp_path / 'base.safetensors')
    video = ('--video', *frames)
    assert_names(refuse('--deposit', base, *video), str(base), 'share-computation')
    assert_names(refuse('--deposit', deposit, '--video', frames[0]), '1 frames')
    small = str(tmp_path / 'small.png')
    cv2.imwrite(small, cv2.imread(frames[0])[:48])
    assert_names(refuse('--deposit', deposit, '--video', frames[0], small), small)
    (tmp_path / 'none').mkdir()
    assert_names(refuse('--sweep', tmp_path / 'none'), str(tmp_path / 'none' / 'summary.json'))
    (tmp_path / 'none' / 'summary.json').write_text('[1]')
    with raises_naming(ValueError, 'summary.json', 'share-computation'):
        read_sweep([tmp_path / 'none'])
    with raises_naming(ValueError, 'lambda_w'):
        plot_sweep(read_sweep([trained]), tmp_path / 'a.png')
    with raises_naming(ValueError, "'seg'", "'depth'"):
        thresholds_for(deposit, 1.0, tasks=['seg'])
    (tmp_path / 'thresholds.json').write_text('{"depth": 0.1}')
    with raises_naming(ValueError, 'thresholds.json'):
        read_thresholds(tmp_path / 'thresholds.json')
    with raises_naming(ValueError, 'thresholds', "'pose'"):
        MultiTaskInferencer(deposit, reuse='tasks', thresholds=dict(pose=[0.1]))
    with raises_naming(ValueError, 'loss', -1.0):
        thresholds_for(deposit, -1.0)
