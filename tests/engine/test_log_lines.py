"""Lines of the log: what runs where, and which task a validation is at."""

import logging
import re

import pytest
from helpers import TASKS, build_runner, joint_config
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.log_lines import kept_records, on_screen


@pytest.fixture(scope='module')
def log(data, tmp_path_factory):
    """The log of a validation that says every batch."""
    folder = tmp_path_factory.mktemp('log')
    cfg = joint_config(data, changes={'default_hooks.logger.interval': 1})
    build_runner(cfg, folder).val()
    (path,) = folder.glob('*/*.log')
    return path.read_text()


def test_line_of_a_validation_says_task_time_and_time_left(log):
    """Two batches a task, one task after the other."""
    lines = re.findall(r'Iter\(val\) \[(\d)/6\] (\w+)  eta: (\S+)  time: ([\d.]+)', log)
    assert [task for _, task, _, _ in lines] == [task for task in TASKS for _ in range(2)]
    assert [int(number) for number, *_ in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1][2] == '0:00:00' and float(lines[-1][3]) > 0


def test_log_says_what_runs_where(log):
    text = log[log.index(' mdl_nas_mm\n') :]
    assert 'tasks: cls (mmpretrain), det (mmdet), seg (mmseg)' in text
    assert re.search(r'runs on: .+, 1 process, seed 0\n', text)
    for library in ('torch', 'mmengine', 'mmpretrain', 'mmdet', 'mmseg'):
        assert re.search(rf'with: .*\b{library} \d', text)
    assert re.search(r'log: .+\.log\n', text)


def test_screen_leaves_out_listings_and_what_nobody_can_act_on():
    def record(text):
        return logging.LogRecord('mmengine', logging.WARNING, '', 0, text, (), None)

    assert on_screen(record('a\nb')) and on_screen(record('The prefix of a task is wrong'))
    assert not on_screen(record('a\n' * 40))
    assert not on_screen(record('The prefix is not set in metric class IoUMetric.'))
    assert not on_screen(record('"FileClient" will be deprecated in future.'))


def test_records_are_kept_inside_of_the_block_alone():
    logger = MMLogger.get_instance('kept', log_level='ERROR')
    with kept_records(logger, True) as kept, kept_records(logger, False) as none:
        logger.info('a table')
        logger.debug('a detail')
    logger.info('later')
    assert kept == ['a table'] and none == []
