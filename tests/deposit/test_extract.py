"""A task out of a deposit, in the hands of the upstream library's own tools."""

import importlib
import itertools
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from extracting import (
    FEW_HEADS,
    NARROW,
    WIDE,
    swin_arch,
    swin_config,
    vit_config,
    write_deposit,
    write_pose_deposit,
)
from helpers import TASKS, call_tool, refusal_of_tool, run_python
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner, load_checkpoint
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import evaluate_deposit
from mdl_nas_mm.deposit import Deposit, largest_differences
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.tasks import task_scope

SIZE = (24, 20)
STOCK = {
    'wide ViT': (vit_config, WIDE),
    'narrow ViT': (vit_config, NARROW),
    'wide Swin': (swin_config, swin_arch((16, 32))),
    'narrow Swin': (swin_config, swin_arch((8, 16))),
    'Swin of other widths': (swin_config, swin_arch((16, 24), [2, 1])),
}
TWICE = {
    'tasks.det.backbone.out_indices': (0, -1),
    'tasks.det.model.neck.in_channels': [24, 24],
    'tasks.det.model.neck.num_outs': 2,
}


def deposit_of(name, data, path):
    configure, arch = STOCK[name]
    return write_deposit(path / 'a.safetensors', configure(data), dict.fromkeys(TASKS, arch))


def load(config):
    """The model of an extracted config with the weights beside it."""
    cfg = Config.fromfile(config)
    with task_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')
    return model


@torch.no_grad()
def features(model):
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    maps = model.extract_feat(images)
    head = getattr(model, 'head', None) or getattr(model, 'decode_head', None)
    return maps if head is None else head(maps)


def tensors(value):
    return [value] if isinstance(value, torch.Tensor) else list(value)


_NUMBERS = itertools.count()


def test_metrics(config, work):
    """What upstream's runner finds."""
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.experiment_name = str(work), f'test_extract_{next(_NUMBERS)}'
    cfg.visualizer.name = cfg.experiment_name
    return Runner.from_cfg(cfg).test()


# It is no test.
test_metrics.__test__ = False


@pytest.mark.parametrize('name', STOCK)
def test_stock_backbone_answers_as_the_deposit(name, data, tmp_path):
    path = deposit_of(name, data, tmp_path)
    for task in TASKS:
        config = extract(path, task, tmp_path / 'out', stock=True)
        text = open(config).read()
        assert 'nothing of mdl_nas_mm is needed' in text
        assert 'mdl_nas_mm' not in text.partition('\n\n')[2]
        model = load(config)
        pairs = zip(tensors(features(model)), tensors(features(Deposit(path).load_task(task))))
        for found, expected in pairs:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_narrow_heads_have_no_columns_for_zeros(data, tmp_path):
    path = deposit_of('narrow ViT', data, tmp_path)
    deposited = {task: Deposit(path).load_task(task).state_dict() for task in TASKS}
    found = {task: load(extract(path, task, tmp_path / 'o')).state_dict() for task in TASKS}
    cut = {'head.fc.weight', 'neck.lateral_convs.0.conv.weight'}
    for task, state in found.items():
        for key, value in state.items():
            if not key.startswith('backbone.') and value.shape == deposited[task][key].shape:
                assert torch.equal(value, deposited[task][key]), key
                assert key not in cut
    weight = deposited['cls']['head.fc.weight']
    assert torch.equal(found['cls']['head.fc.weight'], weight[:, :16])
    key = 'neck.lateral_convs.0.conv.weight'
    assert torch.equal(found['det'][key], deposited['det'][key][:, :16])
    key = 'decode_head.bottleneck.conv.weight'
    weight = deposited['seg'][key]
    assert torch.equal(found['seg'][key], torch.cat((weight[:, :16], weight[:, 24:]), dim=1))


def test_libraries_own_class_where_it_fits(data, tmp_path):
    path = deposit_of('narrow Swin', data, tmp_path)
    kinds = {t: Config.fromfile(extract(path, t, tmp_path)).model.backbone.type for t in TASKS}
    assert kinds == dict.fromkeys(TASKS, 'SwinTransformer')
    path = deposit_of('Swin of other widths', data, tmp_path)
    kinds = {
        t: Config.fromfile(extract(path, t, tmp_path / '2')).model.backbone.type for t in TASKS
    }
    others = dict.fromkeys(('det', 'seg'), 'mmpretrain.SwinTransformer')
    assert kinds == dict(others, cls='SwinTransformer')


def test_upstream_without_this_package_finds_the_same(data, tmp_path):
    """In a process where this package cannot be imported."""
    configs, expected = [], []
    for name in ('narrow ViT', 'narrow Swin'):
        (tmp_path / name).mkdir()
        path = deposit_of(name, data, tmp_path / name)
        configs += [extract(path, task, tmp_path / name, stock=True) for task in TASKS]
        expected += [evaluate_deposit(path, [task])[task][1] for task in TASKS]
    code = (
        'import json\n'
        "sys.modules['mdl_nas_mm'] = None\n"
        'from mmengine.config import Config\n'
        'from mmengine.runner import Runner\n'
        'found = []\n'
        'for path in sys.argv[1:]:\n'
        '    cfg = Config.fromfile(path)\n'
        "    cfg.work_dir = 'work'\n"
        '    cfg.experiment_name = cfg.visualizer.name = path\n'
        '    found.append(Runner.from_cfg(cfg).test())\n'
        "assert not any(name.startswith('mdl_nas_mm.') for name in sys.modules)\n"
        "json.dump(found, open('found.json', 'w'), default=float)\n"
    )
    done = run_python(code, *configs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for found, metrics in zip(json.loads((tmp_path / 'found.json').read_text()), expected):
        assert found == pytest.approx(metrics, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    'task', [pytest.param(t, marks=() if t == 'det' else pytest.mark.slow) for t in TASKS]
)
def test_upstreams_test_tool_and_inferencer(task, data, tmp_path, monkeypatch):
    path = deposit_of('narrow Swin', data, tmp_path)
    config = extract(path, task, tmp_path)
    checkpoint, library = str(tmp_path / f'{task}.pth'), LIBRARIES[task]
    tool = Path(importlib.import_module(library).__file__).parent / '.mim' / 'tools' / 'test.py'
    name = f'test_extract_{next(_NUMBERS)}'
    names = (f'experiment_name={name}', f'visualizer.name={name}')
    args = (tool, config, checkpoint, '--work-dir', tmp_path / 'work', '--cfg-options', *names)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', [str(arg) for arg in args])
    runpy.run_path(str(tool), run_name='__main__')
    (log,) = (tmp_path / 'work').glob('*/*.json')
    found = json.loads(log.read_text().splitlines()[-1])
    metrics = evaluate_deposit(path, [task])[task][1]
    assert {key: found[key] for key in metrics} == pytest.approx(metrics, abs=1e-3, nan_ok=True)
    image = str(min((data / task).rglob('val*/**/*.[pj][n]*g')))
    INFER[task](config, checkpoint, image)


def infer_class(config, checkpoint, image):
    from mmpretrain import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(config, pretrained=checkpoint, device='cpu')
    (result,) = inferencer(image)
    assert result['pred_scores'].shape == (10,)


def infer_boxes(config, checkpoint, image):
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    model = init_detector(config, checkpoint, device='cpu')
    assert model.dataset_meta['classes'] == tuple('0123456789')
    result = inference_detector(model, image).pred_instances
    (other,) = DetInferencer(config, checkpoint, device='cpu')(image)['predictions']
    assert len(result.bboxes) == len(other['bboxes']) > 0


def infer_labels(config, checkpoint, image):
    from mmseg.apis import MMSegInferencer, inference_model, init_model

    model = init_model(config, checkpoint, device='cpu')
    result = inference_model(model, image).pred_sem_seg.data[0].numpy()
    other = MMSegInferencer(config, checkpoint, device='cpu')(image)['predictions']
    assert (result == other).all()


INFER = dict(cls=infer_class, det=infer_boxes, seg=infer_labels)
LIBRARIES = dict(cls='mmpretrain', det='mmdet', seg='mmseg')


def test_where_no_stock_class_fits_the_static_class_does(data, tmp_path):
    archs = dict(cls=FEW_HEADS, det=NARROW, seg=FEW_HEADS)
    path = write_deposit(tmp_path / 'a.safetensors', vit_config(data), archs)
    for task, arch in archs.items():
        config = extract(path, task, tmp_path, stock=False if arch is NARROW else None)
        text = open(config).read()
        assert '# It needs the backbone class mdl_nas_mm.ElasticViT' in text
        reason = 'block 1 has 2 heads of 8 channels, 16 together, on an embedding of 24'
        assert (reason in text) == (arch is FEW_HEADS)
        cfg = Config.fromfile(config)
        assert cfg.custom_imports.imports == ['mdl_nas_mm.families']
        assert cfg.model.backbone.space is None and 'sharing' not in cfg.model.backbone
        assert type(cfg.model.backbone.arch.stages[0].num_heads) is (
            list if arch is FEW_HEADS else int
        )
        model, deposited = load(config), Deposit(path).load_task(task)
        for found, expected in zip(tensors(features(model)), tensors(features(deposited))):
            assert torch.equal(found, expected)
        assert test_metrics(config, tmp_path / 'work') == pytest.approx(
            evaluate_deposit(path, [task])[task][1], nan_ok=True
        )


def test_a_supernets_own_shape_stays_the_subnets(data, tmp_path):
    """A subnet of one block returns it twice where the supernet returns two."""
    arch = dict(NARROW, depth=1, num_heads=3, mlp_ratio=2)
    cfg = vit_config(data, {'backbone.max_relative_position': 3})
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, arch))
    for task in TASKS:
        model, deposited = load(extract(path, task, tmp_path)), Deposit(path).load_task(task)
        for found, expected in zip(tensors(features(model)), tensors(features(deposited))):
            assert torch.equal(found, expected)


def test_a_mean_of_patches_becomes_a_neck(data, tmp_path):
    path = deposit_of('wide ViT', data, tmp_path)
    model = Config.fromfile(extract(path, 'cls', tmp_path)).model
    assert model.backbone.out_type == 'featmap' and model.neck.type == 'GlobalAveragePooling'


def test_class_token(data, tmp_path):
    cfg = vit_config(data, {'tasks.cls.backbone.out_type': 'cls_token'})
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, NARROW))
    model = load(extract(path, 'cls', tmp_path, stock=True))
    assert not model.with_neck
    expected = features(Deposit(path).load_task('cls'))
    torch.testing.assert_close(features(model), expected, rtol=1e-4, atol=1e-5)


def test_pose_estimator_without_data(tmp_path):
    path = write_pose_deposit(tmp_path / 'a.safetensors')
    config = extract(path, 'pose', tmp_path, stock=True)
    cfg = Config.fromfile(config)
    assert cfg.model.backbone.type == 'SwinTransformer' and 'test_dataloader' not in cfg
    assert cfg.model.head.in_channels == 16
    expected = features(Deposit(path).load_task('pose'))
    torch.testing.assert_close(features(load(config)), expected, rtol=1e-4, atol=1e-5)


def test_checkpoint_is_of_weights_and_plain_values(data, tmp_path):
    path = deposit_of('wide ViT', data, tmp_path)
    extract(path, 'seg', tmp_path)
    checkpoint = torch.load(tmp_path / 'seg.pth', weights_only=True)
    assert set(checkpoint) == {'meta', 'state_dict'}
    assert len(checkpoint['meta']['dataset_meta']['classes']) == 11


@pytest.mark.parametrize(
    ('changes', 'arch', 'named'),
    [
        ({}, FEW_HEADS, 'block 1 has 2 heads'),
        ({'backbone.max_relative_position': 3}, WIDE, 'relative positions'),
        ({'backbone.absolute_position': False}, WIDE, 'position embedding'),
        ({'tasks.det.backbone.window_size': 2}, WIDE, 'windows'),
        (TWICE, dict(WIDE, depth=1), 'block once'),
    ],
    ids=['heads', 'relative positions', 'no positions', 'windows', 'a block twice'],
)
def test_what_fits_no_stock_class_is_said(data, tmp_path, changes, arch, named):
    path = tmp_path / 'a.safetensors'
    write_deposit(path, vit_config(data, changes), dict.fromkeys(TASKS, arch))
    with raises_naming(ValueError, "'det'", 'stock', named):
        extract(path, 'det', tmp_path / 'out', stock=True)
    assert not (tmp_path / 'out').exists()
    assert named in open(extract(path, 'det', tmp_path / 'out')).read()


def test_a_neck_that_cannot_be_cut_is_said(data, tmp_path):
    """ViTDet's pyramid splits its input's channels."""
    neck = dict(type='mdl_nas_mm.SimpleFeaturePyramid', in_channels=24, out_channels=8, num_outs=4)
    cfg = vit_config(data)
    cfg.model.tasks.det.model.neck = neck
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, WIDE))
    with raises_naming(ValueError, 'mdl_nas_mm.Simple'):
        extract(path, 'det', tmp_path, stock=True)
    assert load(extract(path, 'det', tmp_path)).neck is not None


@pytest.mark.parametrize(
    'value',
    [{'text': '{{ $HOME:1 }}'}, {'number': float('inf')}],
    ids=['a template', 'no number'],
)
def test_a_config_that_means_something_else_is_not_written(data, tmp_path, value):
    cfg = vit_config(data)
    cfg.val_dataloader.cls.dataset.metainfo = dict(note=value)
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, WIDE))
    trust = ['mmpretrain.datasets.custom.CustomDataset']
    with raises_naming(ValueError, "'cls'", 'config'):
        extract(path, 'cls', tmp_path / 'out', trust=trust)
    assert not (tmp_path / 'out').exists()


def test_keys_that_are_code_are_not_packed(data, tmp_path):
    cfg = vit_config(data)
    cfg.val_dataloader.cls.dataset.metainfo = {"a': print(1), 'b": 1}
    with raises_naming(ValueError, "'cls'", 'metainfo'):
        write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, WIDE))
    assert not list(tmp_path.iterdir())


def test_refusals(data, tmp_path):
    path = deposit_of('wide ViT', data, tmp_path)
    with raises_naming(FileNotFoundError, 'absent'):
        extract(tmp_path / 'absent', 'cls', tmp_path)
    with raises_naming(ValueError, "'pose'"):
        extract(path, 'pose', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    for name in ('cls.pth', 'cls_config.py'):
        (tmp_path / name).write_text('another')
        with raises_naming(ValueError, name):
            extract(path, 'cls', tmp_path)
        (tmp_path / name).unlink()
    assert extract(path, 'cls', tmp_path) == str(tmp_path / 'cls_config.py')


def test_tool(data, tmp_path, monkeypatch, capsys):
    """Upstream's class or ours, as it is asked for."""
    path = deposit_of('wide ViT', data, tmp_path)
    for option, kind in ((), 'mmpretrain.'), (('--no-stock',), 'mdl_nas_mm.'):
        out = tmp_path / kind
        call_tool(monkeypatch, 'deposit', 'extract', path, '--task', 'cls', '--out', out, *option)
        config = capsys.readouterr().out.strip()
        assert config == str(out / 'cls_config.py')
        assert type(load(config).backbone).__module__.startswith(kind)
    archs = dict.fromkeys(TASKS, FEW_HEADS)
    few = write_deposit(tmp_path / 'b.safetensors', vit_config(data), archs)
    arguments = ('extract', few, '--task', 'cls', '--out', tmp_path, '--stock')
    assert_names(refusal_of_tool(monkeypatch, 'deposit', *arguments), "'cls'", 'stock')


def test_images_of_one_channel_are_extracted_and_verified(data, tmp_path):
    """Grey ones."""
    grey = dict(mean=[120.0], std=[60.0], bgr_to_rgb=False)
    changes = {f'tasks.{task}.model.data_preprocessor': grey for task in ('det', 'seg')}
    changes['tasks.cls.model.data_preprocessor'] = dict(mean=[120.0], std=[60.0], to_rgb=False)
    cfg = swin_config(data, changes | {'backbone.in_channels': 1})
    path = write_deposit(tmp_path / 'grey', cfg, dict.fromkeys(TASKS, swin_arch((8, 16))))
    for stock in (False, True):
        model = load(extract(path, 'det', tmp_path / f'{stock}', stock))
        assert next(model.backbone.parameters()).shape[1] == 1
    assert largest_differences(path, path) == dict.fromkeys(TASKS, 0.0)
