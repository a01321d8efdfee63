"""A task whose score is an error: negative in a search, shown in its own unit by every command."""

import random

import pytest
from helpers import build_model, joint_config, only, random_joint
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mdl_nas_mm.apis import evaluate_deposit
from mdl_nas_mm.apis.deposits import score_lines, verify_lines
from mdl_nas_mm.apis.tasks import score_subnets, task_infos
from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.search import SearchPlan, SupernetEvaluator
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.amounts import shown_score
from mdl_nas_mm.visualization import print_added, print_summary
from mdl_nas_mm.visualization.search_figures import task_score

SCALE = 20.0
SCORE = dict(metric='mine/wrong', scale=SCALE, rule='less')


class ShareWrong(BaseMetric):
    """The share of images that are taken for something else, as a user's own metric."""

    default_prefix = 'mine'

    def process(self, data_batch, data_samples):
        wrong = [s['pred_label'].item() != s['gt_label'].item() for s in data_samples]
        self.results.extend(wrong)

    def compute_metrics(self, results):
        return dict(wrong=sum(results) / len(results))


@pytest.fixture
def metric():
    """What its user has to trust."""
    METRICS.register_module(module=ShareWrong)
    yield f'{__name__}.ShareWrong'
    METRICS.module_dict.pop('ShareWrong')


def test_an_error_from_the_search_to_the_deposit(data, tmp_path, metric):
    cfg = only(joint_config(data, 'Sequential'), 'cls')
    cfg.tasks.cls.update(score=SCORE, val_evaluator=dict(_delete_=True, type='ShareWrong'))
    cfg = resolve_joint_config(cfg)
    model = build_model(cfg).eval()
    joint = random_joint(model, random.Random(0))
    outcome = SupernetEvaluator(model, cfg)({'cls': joint['cls']})['cls']
    assert outcome.metrics['mine/wrong'] > 0
    assert outcome.score == -SCALE * outcome.metrics['mine/wrong']
    scores = score_subnets(cfg, {t: model.subnet(t, spec) for t, spec in joint.items()})
    path = tmp_path / 'a.safetensors'
    pack(path, model, joint, cfg.model.backbone, task_infos(cfg, scores), trust=(metric,))
    info = Deposit(path, (metric,)).tasks['cls']
    assert info['score'] == SCORE and info['scored'] == scores['cls'] > 0
    ((score, metrics),) = evaluate_deposit(path, ['cls'], trust=(metric,)).values()
    assert score == scores['cls'] == SCALE * metrics['mine/wrong']
    # What the evaluator gives, whatever it is scaled with.
    told = shown_score(metrics['mine/wrong'])
    (line,) = (line.split() for line in contents(path) if 'mine' in line)
    assert line[:4] == ['cls', 'mmpretrain', 'mine/wrong', told]
    said = list(verify_lines(path, data=True, trust=(metric,)))
    value = f'{metrics["mine/wrong"]:.4f}'
    assert f'cls: mine/wrong = {value}, stored is {value}' in said
    assert list(score_lines(path, None, 'cpu', (metric,))) == [f'cls: mine/wrong = {told}']
    cfg.search_cfg = dict(budget='1G')
    report = dict(shown=SearchPlan.from_config(cfg).shown)
    assert task_score(report, 'cls', outcome.score) == shown_score(outcome.metrics['mine/wrong'])


def test_summaries_show_an_error_in_its_own_unit(capsys):
    result = dict(metric='rmse', unit=SCALE, score=7.6, score_in_supernet=7.7, params=1, flops=1)
    sizes = dict(shared=1, specific={}, heads={}, total=1, separate=1, deposit_bytes=1)
    print_summary(dict(tasks=dict(depth=result), **sizes, deposit='a', seconds={}), 'work')
    print_added(
        dict(tasks=dict(depth=dict(result, added=1)), differences={}, seconds={}, deposit='a')
    )
    told = capsys.readouterr().out
    assert told.count('0.38') == 3 and '0.385' in told and '7.6' not in told
