"""The doctor reports what is wrong as lines, never as a traceback."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mdl_nas_mm.utils import doctor
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
    needed, optional = doctor.check_part(doctor.STACK[1]), doctor.check_part(doctor.STACK[6])
    assert (needed.level, optional.level) == (doctor.FAIL, doctor.WARN)
    assert 'not installed' in needed.message
    assert 'make setup' in needed.advice


def test_other_version_is_a_warning(monkeypatch):
    part = doctor.Part('json', 'json-tricks==0.1', 'json-tricks==0.2')
    finding = doctor.check_part(part)
    assert finding.level == doctor.WARN
    assert '0.1' in finding.advice
    assert '0.2' in doctor.check_part(part, 'openmmlab').advice


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
    assert doctor.check_part(doctor.STACK[0], 'openmmlab').level == doctor.OK
    assert doctor.check_part(doctor.STACK[0], 'onedl').level == doctor.WARN
    pretend(monkeypatch)
    missing = doctor.check_part(doctor.STACK[0], 'openmmlab')
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
    assert 'opencv-python-headless' in doctor.check_part(doctor.STACK[4]).advice


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


def test_missing_data_of_a_joint_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').mkdir()
    dataset = "dict(dataset=dict(data_root='{}', data_prefix='img'))"
    (tmp_path / 'upstream.py').write_text(
        f'train_dataloader = {dataset.format("gone")}\nval_dataloader = {dataset.format("there")}\n'
        "model = dict()\nval_evaluator = dict(type='CocoMetric')\n"
    )
    (tmp_path / 'joint.py').write_text(
        "tasks = dict(det=dict(config='upstream.py', score='x',\n"
        "    val_evaluator=dict(ann_file='there/ann.json'),\n"
        "    search_dataloader=dict(dataset=dict(data_prefix='search'))))\n"
    )
    findings = doctor.check_config('joint.py')
    assert levels(findings) == [doctor.FAIL] * 4
    missing = [finding.message.split(' is ')[0] for finding in findings]
    # Of the folder that is not there only the folder is named, not what would lie in it.
    assert missing == ['gone', 'there/img', 'there/ann.json', 'there/search']
    for name in ('gone', 'there/img', 'there/search'):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / 'gone' / 'img').mkdir()
    (tmp_path / 'there' / 'ann.json').touch()
    assert levels(doctor.check_config('joint.py')) == [doctor.OK]


def test_config_that_is_not_there_is_a_line():
    (finding,) = doctor.check_config('no_such_config.py')
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
    with pytest.raises(FileNotFoundError, match='no_such_library is not installed'):
        upstream_config_path('no_such_library::a/b.py')
    with pytest.raises(FileNotFoundError, match='not there'):
        upstream_config_path('mmdet::a/b.py')


def test_report_ends_with_the_verdict():
    fine = doctor.Finding(doctor.OK, 'a', '1.0')
    broken = doctor.Finding(doctor.FAIL, 'longer', 'broken', 'mend it')
    assert doctor.report([fine]).endswith('can run the suite.')
    text = doctor.report([fine, broken])
    assert '-> mend it' in text
    assert 'cannot run the suite: 1 ' in text


def test_tool_runs_without_the_stack():
    """With no site packages at all it still reports, and says so by its exit status."""
    command = [sys.executable, '-S', '-I', str(ROOT / 'tools' / 'doctor.py')]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert 'torch' in result.stdout and 'not installed' in result.stdout
    assert 'Traceback' not in result.stdout + result.stderr
