"""What upstream's libraries say while they are imported does not reach the screen."""

import importlib
import sys
import warnings

import pytest

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
    monkeypatch.setattr(notices, '_MODULES', {name, f'{name}.inner'})
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
