"""ONNX and torch.export of tasks: they answer as torch does, for any number of images."""

from types import SimpleNamespace

import pytest
import torch
from extracting import (
    FEW_HEADS,
    NARROW,
    swin_arch,
    swin_config,
    vit_config,
    write_deposit,
    write_pose_deposit,
)
from helpers import TASKS, call_tool, refusal_of_tool
from mmcv.transforms import CenterCrop
from mmseg.registry import MODELS
from refusals import assert_names, raises_naming
from shared_images import segmentor

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.export import default_size, export, load_model
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.tasks import task_scope

if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
    pytest.skip('export needs torch 2.6', allow_module_level=True)
onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')

SIZE = (16, 16)
SHALLOW = dict(FEW_HEADS, depth=1, num_heads=2)


@pytest.fixture(scope='module')
def vit(data, tmp_path_factory):
    """A deposit with relative positions and a class token."""
    cfg = vit_config(data, {'backbone.max_relative_position': 3})
    path = tmp_path_factory.mktemp('vit') / 'vit.safetensors'
    return write_deposit(path, cfg, dict.fromkeys(TASKS, SHALLOW))


@pytest.fixture(scope='module')
def swin(data, tmp_path_factory):
    path = tmp_path_factory.mktemp('swin') / 'swin.safetensors'
    return write_deposit(
        path, swin_config(data), dict.fromkeys(TASKS, swin_arch((16, 24), 2, (2, 1)))
    )


def run_onnx(path, images):
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    (images_in,) = session.get_inputs()
    assert images_in.name == 'images' and images_in.shape == ['batch', 3, *images.shape[2:]]
    names = [output.name for output in session.get_outputs()]
    found = session.run(None, {'images': images.numpy()})
    return dict(zip(names, map(torch.from_numpy, found)))


def draw(count, size=SIZE):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def test_whole_classifier(vit, tmp_path):
    model, _ = load_model(vit, 'cls')
    # Another size than that of the positions: they are interpolated.
    assert export(model, tmp_path / 'a.onnx', (20, 12)) < 1e-5
    for count in (1, 4):
        images = draw(count, (20, 12))
        found = run_onnx(tmp_path / 'a.onnx', images)
        torch.testing.assert_close(found['logits'], model(images), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_whole_segmentor(vit, tmp_path):
    model, _ = load_model(extract(vit, 'seg', tmp_path))
    assert export(model, tmp_path / 'a.onnx', (24, 24)) < 1e-4
    images = draw(3, (24, 24))
    found = run_onnx(tmp_path / 'a.onnx', images)['logits']
    assert found.shape == (3, 11, 24, 24)
    # What upstream predicts: the likeliest class of every pixel.
    logits = Deposit(vit).load_task('seg').encode_decode(images, [dict(img_shape=(24, 24))])
    assert (found.argmax(1) == logits.argmax(1)).float().mean() > 0.99
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ('backbone', 'part'),
    [
        ('swin', 'features'),
        pytest.param('swin', 'backbone', marks=pytest.mark.slow),
        pytest.param('vit', 'backbone', marks=pytest.mark.slow),
    ],
)
def test_parts_of_a_detector(backbone, part, request, tmp_path):
    """Its backbone and neck, or the backbone alone."""
    model, _ = load_model(request.getfixturevalue(backbone), 'det')
    assert export(model, tmp_path / 'a.onnx', SIZE, part) < 1e-4
    images = draw(5)
    found = run_onnx(tmp_path / 'a.onnx', images)
    expected = model.backbone(images) if part == 'backbone' else model.extract_feat(images)
    assert list(found) == ['features'] and len(expected) == 1
    torch.testing.assert_close(found['features'], expected[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_blocks_that_choose_their_window(tmp_path):
    """Their bias tables are in an order of their own, which ONNX could not compute."""
    stage = dict(embed_dim=8, depth=1, num_heads=2, mlp_ratio=1, window_side=(2, 4))
    backbone = dict(type='mdl_nas_mm.ElasticSwinUNet', space=[stage] * 4, head_dim=4)
    backbone['skeletons'] = ['e1']
    with task_scope('mmseg'):
        model = MODELS.build(dict(segmentor(3, 8), backbone=backbone)).eval()
    assert export(model, tmp_path / 'a.onnx', (32, 32), 'backbone') < 1e-4
    images = torch.randn(3, 3, 32, 32)
    found = run_onnx(tmp_path / 'a.onnx', images)['features']
    torch.testing.assert_close(found, model.backbone(images)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('backbone', ['vit', 'swin'])
def test_program(backbone, request, tmp_path):
    model, _ = load_model(request.getfixturevalue(backbone), 'seg')
    assert export(model, tmp_path / 'a.pt2', SIZE) < 1e-5
    images = draw(5)
    found = torch.export.load(tmp_path / 'a.pt2').module()(images)
    expected = model.encode_decode(images, [dict(img_shape=SIZE)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@torch.no_grad()
def test_stock_model(data, tmp_path):
    cfg = vit_config(data)
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, NARROW))
    model, _ = load_model(extract(path, 'cls', tmp_path, stock=True))
    assert export(model, tmp_path / 'a.onnx', SIZE) < 1e-5
    found = run_onnx(tmp_path / 'a.onnx', draw(3))['logits']
    torch.testing.assert_close(found, model(draw(3)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_whole_pose_estimator(tmp_path):
    path = write_pose_deposit(tmp_path / 'a.safetensors')
    model, _ = load_model(path, 'pose')
    assert export(model, tmp_path / 'a.pt2', (24, 24)) < 1e-5
    found = torch.export.load(tmp_path / 'a.pt2').module()(draw(3, (24, 24)))
    assert found.shape == (3, 5, 6, 6)
    assert torch.allclose(found, model(draw(3, (24, 24)), None), rtol=1e-5, atol=1e-6)


def test_what_is_exported_is_no_other_model(vit, tmp_path):
    """Exporting leaves a model as it was, also what backbones keep from call to call."""
    model, _ = load_model(vit, 'det')
    with torch.no_grad():
        before = model.backbone(draw(2))
        export(model, tmp_path / 'a.pt2', SIZE, 'backbone')
        assert all(torch.equal(a, b) for a, b in zip(model.backbone(draw(2)), before))


def test_images_of_one_channel_are_exported(data, tmp_path):
    """Grey ones."""
    cfg = swin_config(data, {'backbone.in_channels': 1})
    path = write_deposit(tmp_path / 'grey', cfg, dict.fromkeys(TASKS, swin_arch((8, 16))))
    model, _ = load_model(path, 'det')
    assert export(model, tmp_path / 'a.pt2', SIZE, 'backbone') < 1e-5


PIPELINES = {
    'crop': ([dict(type='ResizeEdge', scale=40), dict(type='CenterCrop', crop_size=32)], (32, 32)),
    'crop, width first': ([dict(type='CenterCrop', crop_size=(48, 32))], (32, 48)),
    'class': ([dict(type=CenterCrop, crop_size=32)], (32, 32)),
    'width first': ([dict(type='mmcv.Resize', scale=(48, 32)), dict(type='Pack')], (32, 48)),
    'pose': ([dict(type='TopdownAffine', input_size=(192, 256))], (256, 192)),
    'proportions': ([dict(type='Resize', scale=(64, 32), keep_ratio=True)], (16, 16)),
}


@pytest.mark.parametrize(('pipeline', 'expected'), PIPELINES.values(), ids=PIPELINES)
def test_default_size(vit, pipeline, expected):
    model = Deposit(vit).load_task('det')
    dataset = dict(pipeline=pipeline)
    for around in (dataset, dict(type='RepeatDataset', dataset=dataset)):
        assert default_size(model, dict(dataset=around)) == expected


def test_no_default_size(swin):
    with raises_naming(ValueError, 'config', 'size'):
        default_size(*load_model(swin, 'det'))


def test_refusals(vit, tmp_path):
    model, _ = load_model(vit, 'det')
    with raises_naming(ValueError, 'MaskRCNN', '--part features'):
        export(model, tmp_path / 'a.onnx', SIZE)
    with raises_naming(ValueError, '.onnx', '.pt2'):
        export(model, tmp_path / 'a.pb', SIZE, 'backbone')
    with raises_naming(ValueError, "'neck'"):
        export(model, tmp_path / 'a.onnx', SIZE, 'neck')
    with raises_naming(ValueError, '--task', "['cls', 'det', 'seg']"):
        load_model(vit)
    assert not list(tmp_path.iterdir())


def test_upstreams_swin_is_refused(swin, tmp_path):
    """It computes the number of images as a plain number."""
    model, _ = load_model(extract(swin, 'det', tmp_path, stock=True))
    with raises_naming(ValueError, 'MaskRCNN', 'SwinTransformer'):
        export(model, tmp_path / 'a.pt2', SIZE, 'backbone')


def test_what_differs_from_torch_is_not_written(vit, tmp_path, monkeypatch):
    model, _ = load_model(vit, 'cls')
    other = SimpleNamespace(module=lambda: lambda images: model(images) * 1.01)
    monkeypatch.setattr(torch.export, 'load', lambda file: other)
    with raises_naming(ValueError, 'exported', 'torch'):
        export(model, tmp_path / 'a.pt2', SIZE)
    assert not list(tmp_path.iterdir())


def test_tool(vit, swin, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'cls.pt2'
    call_tool(monkeypatch, 'export', vit, '--task', 'cls', '--out', out)
    said = capsys.readouterr().out
    assert f'{out}: whole model for images of 16 x 16' in said and out.is_file()
    assert 'largest difference to torch: ' in said
    # Before it is asked for a size, which no config of a detector tells.
    args = (swin, '--task', 'det', '--out', tmp_path / 'det.onnx')
    assert_names(refusal_of_tool(monkeypatch, 'export', *args), 'MaskRCNN', '--part features')
    args = (*args, '--part', 'features')
    assert_names(refusal_of_tool(monkeypatch, 'export', *args), '--input-size')
    args = (vit, '--task', 'pose', '--out', out)
    assert_names(refusal_of_tool(monkeypatch, 'export', *args), "'pose'", ['cls', 'det', 'seg'])
