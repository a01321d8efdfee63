"""The doctor reports what is wrong as lines, never as a traceback."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from refusals import raises_naming

from mdl_nas_mm import doctor
from mdl_nas_mm.utils.data_paths import data_paths
from mdl_nas_mm.utils.upstream import upstream_config_path

ROOT = Path(__file__).resolve().parent.parent


def levels(findings):
    return [finding.level for finding in findings]


def test_this_environment_can_run_the_suite():
    findings = doctor.examine()
    assert doctor.FAIL not in levels(findings), doctor.report(findings)


def test_mmcv_operators_are_really_called():
    finding = doctor.check_mmcv_ops()
    assert finding.level == doctor.OK
    assert 'nms and roi_align work' in finding.message


def test_missing_library_is_a_line_with_advice(monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, 'version', nothing)
    needed, optional = doctor.check_library(doctor.STACK[1]), doctor.check_library(doctor.STACK[6])
    assert (needed.level, optional.level) == (doctor.FAIL, doctor.WARN)
    assert 'not installed' in needed.message
    assert 'make setup' in needed.advice


def test_other_version_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, 'tried_versions', lambda stack: {'json-tricks': f'0 of {stack}'})
    library = doctor.Library('json', 'json-tricks', 'json-tricks')
    for stack in ('onedl', 'openmmlab'):
        finding = doctor.check_library(library, stack)
        assert finding.level == doctor.WARN and f'0 of {stack}' in finding.advice


def pretend(monkeypatch, **installed):
    """Make the doctor see these distributions alone; an underscore stands for a hyphen."""

    def version(name):
        if name.replace('-', '_') not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name.replace('-', '_')]

    monkeypatch.setattr(doctor.metadata, 'version', version)


def test_stack_is_told_by_mmengine(monkeypatch):
    for mmengine, stack in ('mmengine', 'openmmlab'), ('onedl_mmengine', 'onedl'):
        pretend(monkeypatch, **{mmengine: '0.10.7', 'mmpose': '1.3.2'})
        assert doctor.installed_stack() == stack
        finding = doctor.check_stack(stack)
        assert (finding.level, finding.message.split(',')[0]) == (doctor.OK, stack)


def test_both_makes_of_a_library_are_a_failure(monkeypatch):
    pretend(monkeypatch, onedl_mmengine='0.10.12', onedl_mmcv='2.3.6', mmcv='2.1.0')
    finding = doctor.check_stack('onedl')
    assert finding.level == doctor.FAIL
    assert finding.message.startswith('onedl-mmcv and mmcv are both installed')


def test_each_stack_has_versions_of_its_own(monkeypatch):
    pretend(monkeypatch, numpy='1.26.4')
    assert doctor.check_library(doctor.STACK[0], 'openmmlab').level == doctor.OK
    assert doctor.check_library(doctor.STACK[0], 'onedl').level == doctor.WARN
    pretend(monkeypatch)
    missing = doctor.check_library(doctor.STACK[0], 'openmmlab')
    assert 'make setup STACK=openmmlab' in missing.advice


@pytest.mark.parametrize('module', ['torch', 'mmcv.ops'])
def test_operators_that_do_not_import_are_a_line(monkeypatch, module):
    def broken(name):
        if name == module:
            raise ImportError('undefined symbol: _ZN2at\nmore')
        return real(name)

    real = doctor.importlib.import_module
    monkeypatch.setattr(doctor.importlib, 'import_module', broken)
    finding = doctor.check_mmcv_ops()
    assert finding.level == doctor.FAIL
    assert 'undefined symbol' in finding.message and '\n' not in finding.message
    assert '--no-build-isolation' in finding.advice


def test_missing_libgl_has_its_own_cure(monkeypatch):
    def broken(name):
        raise ImportError('libGL.so.1: cannot open shared object file')

    monkeypatch.setattr(doctor.importlib, 'import_module', broken)
    assert 'opencv-python-headless' in doctor.check_library(doctor.STACK[4]).advice


def test_data_paths_are_joined_to_their_root():
    dataset = dict(
        data_root='data/x', ann_file='a.json', data_prefix=dict(img='train/', seg=''), pipeline=[]
    )
    config = dict(
        train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dataset)),
        val_evaluator=[dict(type='CocoMetric', ann_file='data/x/b.json')],
        far=dict(data_root='s3://bucket/x', ann_file='a.json'),
    )
    found = list(data_paths(config))
    assert found == ['data/x', 'data/x/train/', 'data/x/a.json', 'data/x/b.json']


def missing_of(config):
    """Files and folders that the doctor misses."""
    findings = doctor.data_findings(str(ROOT / 'configs' / 'demo' / config))
    return {f.message.split(' is ')[0].rstrip('/') for f in findings if f.level == doctor.FAIL}


def test_missing_data_of_a_joint_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Of a folder that is not there only the folder is named, not what would lie in it.
    assert missing_of('demo_joint.py') == {f'data/demo/{task}' for task in ('cls', 'det', 'seg')}
    (tmp_path / 'data' / 'demo' / 'cls' / 'train').mkdir(parents=True)
    (tmp_path / 'data' / 'demo' / 'det').mkdir()
    missing = missing_of('demo_joint.py')
    assert {'data/demo/cls/val', 'data/demo/seg'} <= missing
    # What the search alone reads.
    assert {'data/demo/det/annotations/search.json', 'data/demo/det/images/search'} <= missing
    assert not {'data/demo/cls', 'data/demo/cls/train', 'data/demo/det'} & missing


def test_data_of_an_ordinary_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert missing_of('tasks/cls.py') == {'data/demo/cls'}
    for split in ('train', 'val'):
        (tmp_path / 'data' / 'demo' / 'cls' / split).mkdir(parents=True)
    assert missing_of('tasks/cls.py') == set()


def test_config_that_is_not_there_is_a_line():
    (finding,) = doctor.data_findings('no_such_config.py')
    assert finding.level == doctor.FAIL
    assert 'no_such_config.py' in finding.message


@pytest.mark.parametrize(
    'name',
    [
        'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
        'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py',
        'mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024.py',
    ],
)
def test_upstream_configs_are_found_by_their_module(name):
    assert upstream_config_path(name).is_file()


def test_upstream_config_that_is_not_there():
    with raises_naming(FileNotFoundError, 'no_such_library'):
        upstream_config_path('no_such_library::a/b.py')
    with raises_naming(FileNotFoundError, 'mmdet', 'a/b.py'):
        upstream_config_path('mmdet::a/b.py')


def test_report_ends_with_the_verdict():
    fine = doctor.Finding(doctor.OK, 'a', '1.0')
    broken = doctor.Finding(doctor.FAIL, 'longer', 'broken', 'mend it')
    assert doctor.report([fine]).endswith('can run this package.')
    text = doctor.report([fine, broken])
    assert '-> mend it' in text
    assert 'cannot run this package: 1 ' in text


def test_tool_runs_without_the_stack():
    """With no site packages at all it still reports, and says so by its exit status."""
    command = [sys.executable, '-S', '-I', str(ROOT / 'tools' / 'doctor.py')]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert 'torch' in result.stdout and 'not installed' in result.stdout
    assert 'Traceback' not in result.stdout + result.stderr
