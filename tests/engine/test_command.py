"""What a command answers is alone on stdout, whoever else has something to say."""

import logging

import pytest
from mmengine.logging import MMLogger, print_log

from mdl_nas_mm.engine.command import command


def test_answers_alone_are_on_stdout(capsys, tmp_path):
    """Also where a runner, or another command, has set up a logger before."""
    before = MMLogger.get_instance('of_a_runner', log_file=str(tmp_path / 'runner.log'))
    with command('some command') as say:
        before.info('a table')
        print_log('another table', 'current')
        MMLogger.get_instance('made_by_a_library').info('a third table')
        print('loading annotations')
        say('one', 2)
    told = capsys.readouterr()
    assert told.out == 'one 2\n'
    for text in ('a table', 'another table', 'a third table', 'loading annotations'):
        assert text in told.err
    assert 'a table' in (tmp_path / 'runner.log').read_text()
    before.info('as before')
    print('as before')
    assert capsys.readouterr().out.count('as before') == 2


def test_what_nobody_can_act_on_is_kept_off_the_screen(capsys):
    with command('another command', 'WARNING'):
        print_log('The prefix is not set in metric class IoUMetric.', 'current', logging.WARNING)
        print_log('worth reading', 'current', logging.WARNING)
    told = capsys.readouterr()
    assert told.err.count('\n') == 1 and 'worth reading' in told.err


def test_refusals_are_one_line():
    with pytest.raises(SystemExit, match='error: no such task'), command('a third command'):
        raise ValueError('no such task')
