"""What is wrong with the arguments of a command line ends in one line, and status 1 or 2."""

import os
import sys

import pytest
import torch
from helpers import (
    ROOT,
    call_tool,
    demo_data,
    joint_config,
    quick_mmengine,  # noqa: F401
    write_config,
)
from mmengine.utils import digit_version
from refusals import assert_names

from mdl_nas_mm.utils.command_line import search_budget

CONFIG = str(ROOT / 'configs' / 'demo' / 'demo_joint.py')
# Tools that take a config first, with what else they need.
WITH_CONFIG = dict(
    train=(),
    test=('binary',),
    search=('--checkpoint', 'binary'),
    analyze=(),
    latency=('--task', 'cls', '--out', 'out.json'),
    hold_out=(),
)
# Tools that take a file that the package writes.
WITH_FILE = {
    'deposit list': (),
    'deposit verify': (),
    'deposit extract': ('--task', 'cls', '--out', 'extracted'),
    'deposit remove': ('--task', 'cls'),
    'deposit test': (),
    'infer': ('image.png',),
    'export': ('--task', 'cls', '--out', 'model.onnx'),
}
FILES = {
    'absent.py': None,
    'folder.py': ...,
    'empty.json': b'',
    'list.json': b'[1]',
    'binary.py': bytes(range(128, 256)) * 9,
    'syntax.py': b'a = \n',
    'raises.py': b'a = b\n',
    'no_base.py': b"_base_ = ['nowhere.py']\n",
    'text.txt': b'hello',
    'nothing.py': b'',
}
DEPOSITS = {'absent': None, 'folder': ..., 'empty': b'', 'binary': bytes(range(256)) * 9}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return demo_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'image.png').touch()
    for name, content in {**FILES, **DEPOSITS}.items():
        if content is ...:
            os.mkdir(name)
        elif content is not None:
            (tmp_path / name).write_bytes(content)


def said(monkeypatch, tool, *args):
    """The line of the error, and the exit status."""
    with pytest.raises(SystemExit) as error:
        call_tool(monkeypatch, tool, *args)
    code = error.value.code
    return (code, 1) if isinstance(code, str) else ('', code)


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('tool', WITH_CONFIG)
def test_files_that_are_no_configs(monkeypatch, tool, name):
    line, status = said(monkeypatch, tool, name, *WITH_CONFIG[tool])
    assert status == 1 and line.startswith('error: ') and '\n' not in line
    assert name in line or name == 'nothing.py' or tool == 'test'


@pytest.mark.parametrize('name', DEPOSITS)
@pytest.mark.parametrize('tool', WITH_FILE)
def test_files_that_are_no_deposits(monkeypatch, tool, name):
    if tool == 'export' and digit_version(torch.__version__) < digit_version('2.6'):
        pytest.skip('export needs torch 2.6')
    tool, _, command = tool.partition(' ')
    rest = WITH_FILE[f'{tool} {command}'.strip()]
    line, status = said(monkeypatch, tool, *filter(None, [command]), name, *rest)
    assert status == 1 and line.startswith('error: ') and '\n' not in line
    assert name in line


@pytest.mark.parametrize('tool', WITH_CONFIG)
def test_options_that_are_none(monkeypatch, capsys, tool):
    for option in ('foo', '=1', 'a=[(1,2]'):
        _, status = said(monkeypatch, tool, CONFIG, *WITH_CONFIG[tool], '--cfg-options', option)
        assert status == 2 and '--cfg-options: ' in capsys.readouterr().err


SETTINGS = [
    ('train_cfg.max_iters=-1', 'train_cfg.max_iters is -1, '),
    ('train_cfg.val_interval=0', 'train_cfg.val_interval is 0, '),
    (
        'tasks.cls.train_dataloader.batch_size=0',
        "task 'cls', train_dataloader.batch_size is 0, ",
    ),
    (
        'tasks.seg.val_dataloader.batch_size=-2',
        "task 'seg', val_dataloader.batch_size is -2, ",
    ),
    ('tasks.cls.train_dataloader.num_workers=-1', "'cls', train_dataloader.num_workers is -1, "),
    ('backbone.patch_size=0', 'patch_size is 0, expected at least 1'),
    ('backbone.img_size=-16', 'img_size is -16, expected at least 1'),
    ('backbone.space.embed_dim=[-8]', 'embed_dim'),
    ('backbone.head_dim=0', 'head_dim'),
    ('tasks.cls.nothing=1', "task 'cls': unknown key 'nothing'"),
    ('tasks=1', 'tasks'),
    ('backbone=1', 'backbone'),
    ('train_cfg=1', 'train_cfg'),
    ('tasks.cls=1', 'cls'),
]


@pytest.mark.parametrize(('option', 'says'), SETTINGS)
def test_settings_out_of_range(data, tmp_path, monkeypatch, option, says):
    path = write_config(joint_config(data), tmp_path / 'joint.py')
    line, status = said(monkeypatch, 'train', path, '--work-dir', 'work', '--cfg-options', option)
    assert status == 1 and line.startswith('error: ') and '\n' not in line
    assert says in line


def test_size_of_a_task_that_there_is_not(monkeypatch):
    line, status = said(monkeypatch, 'analyze', CONFIG, '--input-size', 'nope=16')
    assert status == 1 and "unknown task 'nope', expected some of ['cls', 'det', 'seg']" in line


@pytest.mark.parametrize(
    ('tool', 'args'),
    [
        ('train', [CONFIG, '--work-dir', 'text.txt']),
        ('make_demo_data', ['--root', 'text.txt']),
        ('search', ['--from', 'text.txt', '--budget', '1M']),
        ('search', ['--from', 'absent', '--budget', 'many']),
        ('predictor', ['absent', '--out', 'o']),
        ('predictor', ['text.txt', '--out', 'o']),
        ('predictor', ['absent.py', '--checkpoint', 'absent.pth']),
        ('predictor', [CONFIG, '--checkpoint', 'absent.pth']),
        ('control', [CONFIG, '--predictor', 'absent']),
        ('control', ['absent']),
        ('control', ['binary']),
        (
            'pack_control',
            [CONFIG, '--checkpoint', 'c', '--predictor', 'absent', '--out', 'o'],
        ),
        ('control', ['absent.py', '--predictor', 'binary']),
        ('hypervolume', [CONFIG, '--checkpoint', 'c', '--predictor', 'absent', '--reference', '1']),
        ('analyze', [CONFIG, '--joint-spec', 'folder']),
        ('analyze', [CONFIG, '--checkpoint', 'folder']),
        ('analyze', [CONFIG, '--checkpoint', 'empty']),
        ('deposit', ['pack', CONFIG, '--checkpoint', 'empty', '--out', 'o']),
        ('deposit', ['pack', 'folder.py', '--checkpoint', 'empty', '--out', 'o']),
        ('deposit', ['add', 'empty', CONFIG, '--checkpoint', 'empty']),
    ],
)
def test_other_arguments(monkeypatch, tool, args):
    line, status = said(monkeypatch, tool, *args)
    assert status == 1 and line.startswith('error: ') and '\n' not in line


LATENCY = [CONFIG, '--task', 'cls', '--out', 'o']
OUT_OF_RANGE = [
    ('control', [CONFIG, '--predictor', 'binary', '--cycles', '-1']),
    ('control', ['binary', '--pool', '0']),
    ('conflicts', [CONFIG, '--checkpoint', 'empty', '--steps', '0']),
    ('demo', ['--processes', '0']),
    ('export', ['empty', '--task', 'a', '--out', 'a.txt']),
    ('export', ['empty', '--out', 'a.onnx', '--input-size', '0', '8']),
    ('hypervolume', [CONFIG, '--checkpoint', 'empty', '--predictor', 'empty', '--count', '0']),
    ('infer', ['empty', 'image.png', '--batch-size', '0']),
    ('infer', ['empty', 'image.png', '--threshold', 'nan']),
    ('latency', [*LATENCY, '--input-size', '0']),
    ('latency', [*LATENCY, '--input-size', '32by32']),
    ('latency', [*LATENCY, '--batch-size', '0']),
    ('latency', [*LATENCY, '--runs', '-1']),
    ('latency', [*LATENCY, '--threads', 'two']),
    ('latency', [*LATENCY, '--random-specs', '0']),
    ('predictor', [CONFIG, '--checkpoint', 'empty', '--samples', '3']),
    ('sharing_report', ['--deposit', 'empty', '--key-frames', '-1']),
    ('control', ['binary', '--budget', '5 furlongs']),
    ('hypervolume', [CONFIG, '--checkpoint', 'empty', '--predictor', 'empty', '--budget', '0']),
    ('infer', ['empty', 'image.png', '--budget', '3 ms']),
    ('pack_control', [CONFIG, '--checkpoint', 'empty', '--out', 'o', '--budgets', 'much']),
    ('search', [CONFIG, '--checkpoint', 'empty', '--budget', 'many']),
    *(('analyze', [CONFIG, '--input-size', size]) for size in ('cls=0', 'cls=-4', 'cls', '9x9')),
    ('analyze', [CONFIG, '--input-size', 'cls=99999999']),
    ('control', ['binary', '--input-size', 'seg']),
    *(('infer', ['empty', 'image.png', '--prefer', given]) for given in ('seg', 'seg=', '=1')),
    ('pack_control', [CONFIG, '--checkpoint', 'empty', '--out', 'o', '--prefer', 'seg=much']),
]


@pytest.mark.parametrize(('tool', 'args'), OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused_before_anything_is_imported(
    monkeypatch, capsys, tool, args
):
    """Nothing of a command's own is there that could read what the files hold."""
    monkeypatch.setitem(sys.modules, 'mdl_nas_mm.engine.command', None)
    monkeypatch.setitem(sys.modules, 'mdl_nas_mm.engine.errors', None)
    _, status = said(monkeypatch, tool, *args)
    line = capsys.readouterr().err.removesuffix('\n')
    option = next(word for word in reversed(args) if word.startswith('--'))
    assert status == 2 and line.startswith('error: ')
    assert_names(line, option, args[args.index(option) + 1])


def test_a_budget_of_a_search_may_begin_with_its_point():
    assert [search_budget(text) for text in ('.5M', ' 3ms', '7')] == ['.5M', ' 3ms', '7']


NOT_THERE = [
    ('infer', ['empty', 'text.txt', 'gone.png'], 'gone.png'),
    ('infer', ['empty', 'text.txt', 'folder'], 'folder'),
    ('deposit', ['pack', CONFIG, '--checkpoint', 'gone.pth', '--out', 'o'], 'gone.pth'),
    ('deposit', ['verify', 'empty', '--before', 'empty', '--images', 'gone.png'], 'gone.png'),
    ('hypervolume', [CONFIG, '--checkpoint', 'empty', '--beside', 'gone.json'], 'gone.json'),
    ('pack_control', [CONFIG, '--checkpoint', 'empty', '--latency', 'gone.json'], 'gone.json'),
    ('predictor', [CONFIG, '--checkpoint', 'gone.pth'], 'gone.pth'),
    ('search', [CONFIG, '--checkpoint', 'empty', '--start', 'gone.json'], 'gone.json'),
    ('sharing_report', ['--deposit', 'empty', '--video', 'gone.mp4'], 'gone.mp4'),
    ('skeletons', [CONFIG, '--checkpoint', 'gone.pth'], 'gone.pth'),
    ('latency', [CONFIG, '--task', 'cls', '--out', 'folder'], 'folder'),
    ('latency', [CONFIG, '--task', 'cls', '--out', 'text.txt/o.json'], 'text.txt'),
    ('deposit', ['pack', CONFIG, '--checkpoint', 'empty', '--out', 'folder'], 'folder'),
]


@pytest.mark.parametrize(('tool', 'args', 'named'), NOT_THERE)
def test_what_is_not_there_or_cannot_be_written_is_refused_first(monkeypatch, tool, args, named):
    """Before what is there is read: each such file is empty."""
    line, status = said(monkeypatch, tool, *args)
    assert status == 1 and line.startswith('error: ') and '\n' not in line
    assert named in line


@pytest.mark.parametrize('tool', ['deposit', 'pack_control'])
def test_a_deposit_that_is_there_is_not_lost(monkeypatch, tmp_path, tool):
    args = [*(['pack'] if tool == 'deposit' else []), CONFIG, '--checkpoint', 'empty']
    args += [] if tool == 'deposit' else ['--predictor', 'empty']
    line, _ = said(monkeypatch, tool, *args, '--out', 'binary')
    assert_names(line, 'error: ', 'binary', '--overwrite')
    assert (tmp_path / 'binary').read_bytes() == DEPOSITS['binary']
    line, _ = said(monkeypatch, tool, *args, '--out', 'binary', '--overwrite')
    assert '--overwrite' not in line


def test_scale_and_preview_of_demonstration_data(monkeypatch, tmp_path, capsys):
    """Rooms and videos are as few as digits; a picture that would not be drawn is refused."""
    call_tool(monkeypatch, 'make_demo_data', '--what', 'rooms', '--scale', '0.01', '--root', 'r')
    assert capsys.readouterr().out.splitlines()[0] == 'train 4, search 1, val 1'
    assert len(list((tmp_path / 'r' / 'images').iterdir())) == 6
    for given in (['--preview', 'p', '--what', 'videos'], ['--scale', '0']):
        _, status = said(monkeypatch, 'make_demo_data', *given)
        assert status == 2 and given[0] in capsys.readouterr().err


def test_checkpoint_of_a_test_is_looked_for_first(monkeypatch):
    line, status = said(monkeypatch, 'test', CONFIG, 'absent.pth')
    assert status == 1 and line == 'error: checkpoint absent.pth is not there'


@pytest.mark.parametrize(('tool', 'args'), [('control', []), ('predictor', ['--out', 'o'])])
def test_what_is_no_config_has_no_settings_to_override(monkeypatch, capsys, tool, args):
    _, status = said(monkeypatch, tool, 'empty', *args, '--cfg-options', 'max_iters=1')
    assert status == 2 and '--cfg-options' in capsys.readouterr().err


AGAIN = ['--from', 'text.txt', '--budget', '1M']


@pytest.mark.parametrize(
    ('tool', 'args', 'option'),
    [
        ('search', [*AGAIN, '--random-baseline'], '--random-baseline'),
        ('search', [*AGAIN, '--start', 'list.json'], '--start'),
        ('search', [*AGAIN, '--cfg-options', 'max_iters=1'], '--cfg-options'),
        ('deposit', ['verify', 'empty', '--images', 'image.png'], '--images'),
        ('deposit', ['verify', '--after', 'empty'], '--after'),
        ('infer', ['empty', 'image.png', '--prefer', 'seg=1', '--latency', 'x'], '--latency'),
        (
            'deposit',
            ['extract', 'empty', '--task', 'a', '--out', 'o', '--latency', 'x'],
            '--latency',
        ),
        ('predictor', ['empty', '--out', 'o', '--samples', '20'], '--samples'),
        ('predictor', ['empty', '--out', 'o', '--work-dir', 'w'], '--work-dir'),
    ],
)
def test_options_that_would_be_dropped_are_refused(monkeypatch, capsys, tool, args, option):
    _, status = said(monkeypatch, tool, *args)
    assert status == 2 and option in capsys.readouterr().err


def test_a_config_is_controlled_with_a_predictor(monkeypatch, capsys):
    _, status = said(monkeypatch, 'control', CONFIG, '--budget', '1G')
    assert status == 2 and '--predictor' in capsys.readouterr().err
