"""Which validation was the best, and what one without a score means."""

import logging
import math

import pytest
from helpers import build_runner, joint_config, only
from mmseg.evaluation import IoUMetric

from mdl_nas_mm.engine import EarlyStoppingHook


@pytest.mark.parametrize(
    'save_best', ['auto', 's_score', ['s_score', 'cls/accuracy/top1']], ids=str
)
def test_more_of_s_score_is_better(data, tmp_path, save_best):
    cfg = only(joint_config(data, changes={'train_cfg.max_iters': 1}), 'cls')
    cfg.default_hooks.checkpoint.update(save_best=save_best)
    cfg.custom_hooks = [dict(type='EarlyStoppingHook', monitor='s_score')]
    runner = build_runner(cfg, tmp_path)
    runner.train()
    assert len(list(tmp_path.glob('best_s_score_iter_1.pth'))) == 1
    (early,) = (hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook))
    assert early.rule == 'greater'


@pytest.fixture
def special(monkeypatch):
    """Gives an IoU that is to be reported, one value a validation; None leaves it."""
    values, compute = [], IoUMetric.compute_metrics

    def compute_metrics(self, results):
        metrics = compute(self, results)
        value = values.pop(0)
        return metrics if value is None else dict(metrics, mIoU=value)

    monkeypatch.setattr(IoUMetric, 'compute_metrics', compute_metrics)
    return values


class Heard(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def test_one_validation_without_a_score_ends_nothing(data, tmp_path, special, monkeypatch):
    """It is said, s_score is nan, and the best checkpoint stays that of another validation."""
    changes = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 1}
    cfg = only(joint_config(data, changes=changes), 'cls', 'seg')
    cfg.default_hooks.checkpoint.update(save_best='auto', max_keep_ckpts=1)
    cfg.custom_hooks = [dict(type='EarlyStoppingHook', monitor='s_score', patience=9)]
    special += [math.nan, 5.0, math.nan]
    runner = build_runner(cfg, tmp_path)
    reported, hook, heard = [], runner.call_hook, Heard()

    def call_hook(name, **kwargs):
        if name == 'after_val_epoch':
            reported.append(kwargs['metrics']['s_score'])
        hook(name, **kwargs)

    monkeypatch.setattr(runner, 'call_hook', call_hook)
    runner.logger.addHandler(heard)
    runner.train()
    runner.logger.removeHandler(heard)
    assert [math.isnan(score) for score in reported] == [True, False, True]
    assert runner.iter == 3
    assert [path.name for path in tmp_path.glob('best_*')] == ['best_s_score_iter_2.pth']
    said = [text for text in heard.texts if "task 'seg': 'mIoU' is nan" in text]
    assert len(said) == 2 and 'This validation has no s_score' in said[0]
