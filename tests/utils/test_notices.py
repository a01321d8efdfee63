"""What upstream's libraries say that nobody can act on does not reach the screen."""

import importlib
import json
import os
import subprocess
import sys
import warnings

import pytest
from helpers import ROOT
from mmseg.models import CrossEntropyLoss

from mdl_nas_mm.utils import notices

NOTICE = "print('Could not import OneDL. Skipping OneDL datasets.')\n"


@pytest.fixture
def chatty(tmp_path, monkeypatch):
    """A package that prints it, of modules that are known to."""
    folder = tmp_path / 'chatty_library' / 'datasets'
    folder.mkdir(parents=True)
    (tmp_path / 'chatty_library' / '__init__.py').write_text('')
    (folder / '__init__.py').write_text(f"{NOTICE}print('worth reading')\nfrom . import inner\n")
    (folder / 'inner.py').write_text(f'{NOTICE}value = 3\n')
    name = 'chatty_library.datasets'
    quiet = dict.fromkeys((name, f'{name}.inner'), notices._LOADERS['mmdet.datasets'])
    monkeypatch.setattr(notices, '_LOADERS', quiet)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for key in [key for key in sys.modules if key.startswith('chatty_library')]:
        del sys.modules[key]


def test_notices_of_an_import_are_left_out_and_nothing_else(chatty, capsys):
    module = importlib.import_module(chatty)
    assert module.inner.value == 3 and module.__file__.endswith('__init__.py')
    assert capsys.readouterr().out == 'worth reading\n'


def test_a_warning_of_what_is_not_installed_is_left_out_and_no_other(chatty, tmp_path):
    said = ('faster_coco_eval is not installed, metrics will not be computed.', 'worth reading')
    lines = ['import warnings', *(f'warnings.warn({text!r})' for text in said)]
    inner = tmp_path / 'chatty_library' / 'datasets' / 'inner.py'
    inner.write_text('\n'.join([*lines, 'value = 3']))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        importlib.import_module(chatty)
    assert [str(warning.message) for warning in caught] == ['worth reading']


def test_what_was_printed_before_an_error_is_not_lost(chatty, capsys, tmp_path):
    inner = tmp_path / 'chatty_library' / 'datasets' / 'inner.py'
    inner.write_text(f'{NOTICE}import chatty_library.nothing\n')
    with pytest.raises(ModuleNotFoundError, match='nothing'):
        importlib.import_module(chatty)
    assert capsys.readouterr().out == 'worth reading\n'


def test_importing_the_package_is_enough():
    assert any(isinstance(finder, notices.WithoutNotices) for finder in sys.meta_path)


COCO = """
import mdl_nas_mm
from {library}.coco import COCO
from {library}.cocoeval import COCOeval
truth = COCO('labels.json')
found = truth.loadRes([dict(image_id=1, category_id=1, bbox=[0, 0, 4, 4], score=0.5)])
evaluator = COCOeval(truth, found, 'bbox')
evaluator.evaluate()
evaluator.accumulate()
truth.info()
"""


@pytest.mark.parametrize('library', ['pycocotools', 'xtcocotools'])
def test_progress_of_coco_is_left_out_and_nothing_else(library, tmp_path):
    """Of both, as libraries evaluate with either; where the package was imported first."""
    image = dict(id=1, height=8, width=8)
    box = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 4, 4], area=16, iscrowd=0)
    content = dict(images=[image], annotations=[box], categories=[dict(id=1, name='a')])
    (tmp_path / 'labels.json').write_text(json.dumps(dict(content, info=dict(year='2026'))))
    command = [sys.executable, '-c', COCO.format(library=library)]
    env = os.environ | {'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'year: 2026\n'), done.stderr


def test_a_default_of_mmseg_is_no_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        notices.ignore_warnings()
        CrossEntropyLoss()
        warnings.warn('worth reading', stacklevel=1)
    assert [str(warning.message) for warning in caught] == ['worth reading']
