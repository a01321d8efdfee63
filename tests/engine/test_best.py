"""Which validation was the best, and what one without a score means."""

import logging
import math
import os
import signal

import pytest
from helpers import build_runner, joint_config, only
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from refusals import assert_names, raises_naming

from mdl_nas_mm.engine import EarlyStoppingHook
from mdl_nas_mm.engine.best import state_rules
from mdl_nas_mm.tasks import resolve_joint_config


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
    said = [text for text in heard.texts if "'seg'" in text and 'nan' in text]
    assert len(said) == 2
    assert_names(said[0], "'mIoU'", 's_score')


def test_a_resumed_training_waits_no_longer(data, tmp_path, special):
    """Two of four validations without progress are before the signal that stops it."""
    changes = {'train_cfg.max_iters': 9, 'train_cfg.val_interval': 1}
    cfg = only(joint_config(data, changes=changes), 'seg')
    cfg.custom_hooks = [dict(type='EarlyStoppingHook', monitor='s_score', patience=4)]
    ends = []
    for folder in ('whole', 'resumed'):
        special[:] = [5.0, *[1.0] * 8]
        runner = build_runner(cfg, tmp_path / folder)
        if folder == 'resumed':
            run_iter = runner.train_loop.run_iter

            def asked(batches, run_iter=run_iter, loop=runner.train_loop):
                run_iter(batches)
                if loop.iter == 4:
                    os.kill(os.getpid(), signal.SIGTERM)

            runner.train_loop.run_iter = asked
            with pytest.raises(SystemExit):
                runner.train()
            cfg.resume = True
            runner = build_runner(cfg, tmp_path / folder)
        runner.train()
        ends.append(runner.iter)
    assert ends == [5, 5]


def test_of_an_error_less_is_better(data, tmp_path):
    """An error is subtracted in s_score, and is the best where it is least."""
    changes = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 1}
    cfg = only(joint_config(data, changes=changes), 'seg')
    evaluator = dict(_delete_=True, type='_Error')
    score = dict(metric='error', scale=2, rule='less')
    cfg.tasks.seg.update(val_evaluator=evaluator, search_evaluator=evaluator, score=score)
    cfg.default_hooks.checkpoint.update(save_best=['s_score', 'seg/error'])
    cfg.custom_hooks = [dict(type='EarlyStoppingHook', monitor='seg/error', patience=9)]
    _Error.values = [3.0, 4.0]
    runner = build_runner(cfg, tmp_path)
    reported, hook = [], runner.call_hook

    def call_hook(name, **kwargs):
        if name == 'after_val_epoch':
            reported.append(kwargs['metrics'])
        hook(name, **kwargs)

    runner.call_hook = call_hook
    runner.train()
    assert reported == [{'seg/error': e, 's_score': -2 * e} for e in (3.0, 4.0)]
    best = sorted(path.name for path in tmp_path.glob('best_*'))
    assert best == ['best_s_score_iter_1.pth', 'best_seg_error_iter_1.pth']
    (early,) = (hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook))
    assert early.rule == 'less'


@METRICS.register_module()
class _Error(BaseMetric):
    """An error, one value a validation."""

    values = []

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(error=self.values.pop(0))


@pytest.mark.parametrize(
    'change',
    [
        {'default_hooks.checkpoint': dict(save_best='s_score', rule='less')},
        {'default_hooks.checkpoint': dict(save_best=['s_score', 'seg/mIoU'], rule='less')},
        {'custom_hooks': [dict(type='EarlyStoppingHook', monitor='seg/mIoU', rule='less')]},
        {'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='s_score', rule='less')]},
    ],
    ids=str,
)
def test_a_rule_that_takes_the_worst_for_the_best_is_refused(data, change):
    cfg = only(joint_config(data, changes=change), 'seg')
    metric = 'seg/mIoU' if 'custom_hooks' in change else 's_score'
    with raises_naming(ValueError, next(iter(change)), '.rule', f"'{metric}'", 'less'):
        state_rules(resolve_joint_config(cfg))


def test_a_schedule_that_waits_for_the_best_knows_it(data):
    schedule = dict(type='ReduceOnPlateauLR', monitor='s_score')
    cfg = resolve_joint_config(joint_config(data, changes=dict(param_scheduler=[schedule])))
    state_rules(cfg)
    assert cfg.param_scheduler[0].rule == 'greater'
