"""A task whose score is an error: negative in a search, in its own terms in a deposit."""

import random

import pytest
from helpers import build_model, joint_config, only, random_joint
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mdl_nas_mm.apis import evaluate_deposit
from mdl_nas_mm.apis.deposits import verify_lines
from mdl_nas_mm.apis.tasks import score_subnets, task_infos
from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.search import SupernetEvaluator
from mdl_nas_mm.tasks import resolve_joint_config

SCORE = dict(metric='mine/wrong', scale='fraction', rule='less')


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
    assert outcome.score == -100 * outcome.metrics['mine/wrong']
    scores = score_subnets(cfg, {t: model.subnet(t, spec) for t, spec in joint.items()})
    path = tmp_path / 'a.safetensors'
    pack(path, model, joint, cfg.model.backbone, task_infos(cfg, scores), trust=(metric,))
    info = Deposit(path, (metric,)).tasks['cls']
    assert info['score'] == SCORE and info['scored'] == scores['cls'] > 0
    ((score, metrics),) = evaluate_deposit(path, ['cls'], trust=(metric,)).values()
    assert score == scores['cls'] == 100 * metrics['mine/wrong']
    (line,) = (line.split() for line in contents(path) if 'mine' in line)
    assert line[:4] == ['cls', 'mmpretrain', 'mine/wrong', f'{score:.2f}']
    said = list(verify_lines(path, data=True, trust=(metric,)))
    assert f'cls: mine/wrong = {score:.4f}, stored is {score:.4f}' in said
