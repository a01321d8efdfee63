"""Eq. 6 and 7: relative differences from the means of a reference set, by hand and in a search."""

import copy
import json
import random
from types import SimpleNamespace

import pytest
from helpers import build_runner, read_json
from image_group import joint_config, write_images
from refusals import raises_naming

from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.methods.autotaskformer.relative import MeanRelativeScore
from mdl_nas_mm.search import check_search, choose_again, run_search
from mdl_nas_mm.search.history import Outcome
from mdl_nas_mm.tasks import resolve_joint_config

METRICS = dict(seg=['mIoU', 'aAcc'], parts=dict(mIoU={}), alone={'mAcc': dict(rule='greater')})


def config(root, **changes):
    cfg = joint_config(write_images(root))
    for key, value in changes.items():
        cfg[key] = value
    return cfg


class Evaluated:
    """Metrics of numbered architectures, as ``Evaluations`` has them."""

    def __init__(self, metrics):
        self.metrics, self.history = metrics, SimpleNamespace(evaluations={})

    def __call__(self, pairs):
        for task, spec in pairs:
            values = self.metrics[task][spec]
            outcome = Outcome(None, {}, 'failed') if values is None else Outcome(1.0, values)
            self.history.evaluations[task, spec] = outcome


def test_scores_are_those_of_equations_6_and_7(tmp_path):
    cfg = resolve_joint_config(config(tmp_path))
    rng, specs = random.Random(0), range(5)
    names = dict(seg=('mIoU', 'aAcc'), parts=('mIoU',), alone=('mAcc',))
    metrics = {
        t: [{n: rng.uniform(20, 60) for n in own} for _ in specs] for t, own in names.items()
    }
    metrics['parts'][4] = None
    evaluate = Evaluated(metrics)
    reference = [0, 1, 3]
    score = MeanRelativeScore(
        evaluate,
        lambda count, seed: [dict.fromkeys(names, spec) for spec in reference],
        cfg,
        tmp_path,
        metrics=METRICS,
    )
    found = score([(task, spec) for task in names for spec in specs])
    for spec in specs:
        gammas = []
        for task, own in names.items():
            if metrics[task][spec] is None:
                continue
            means = {n: sum(metrics[task][s][n] for s in reference) / 3 for n in own}
            changes = [(metrics[task][spec][n] - means[n]) / means[n] for n in own]
            gammas.append(sum(changes) / len(changes))
        own = [found[list(names).index(task) * 5 + spec] for task in names]
        if spec == 4:
            assert own[1] is None
            continue
        assert sum(own) == pytest.approx(100 * sum(gammas) / len(names), rel=1e-12)
    again = MeanRelativeScore(
        evaluate, None, cfg, tmp_path, metrics=METRICS, file=str(tmp_path / 'reference.json')
    )
    assert again.means == score.means


def test_an_error_counts_with_the_other_sign(tmp_path):
    cfg = resolve_joint_config(config(tmp_path))
    evaluate = Evaluated({t: [{'mIoU': 10.0}, {'mIoU': 30.0}] for t in cfg.tasks})
    score = MeanRelativeScore(
        evaluate, lambda *_: [dict.fromkeys(cfg.tasks, s) for s in (0, 1)], cfg, tmp_path
    )
    scoring = score.scorings['seg']['mIoU']
    better = score([('seg', 1)])[0]
    score.scorings['seg']['mIoU'] = (
        copy.replace(scoring, greater=False)
        if hasattr(copy, 'replace')
        else scoring.__class__(scoring.task, scoring.key, scoring.factor, False, scoring.metric)
    )
    assert score([('seg', 1)])[0] == -better == pytest.approx(-50 / 3)


@pytest.mark.parametrize(
    ('metrics', 'named'),
    [
        (dict(sag=['mIoU']), ("'sag'", 'seg')),
        (dict(seg=['mAP']), ("'seg'", "'mAP'", 'mIoU')),
        (dict(seg=[]), ("'seg'",)),
    ],
)
def test_metrics_that_are_none(tmp_path, metrics, named):
    cfg = resolve_joint_config(config(tmp_path))
    with raises_naming(ValueError, 'search_cfg.score.metrics', *named):
        MeanRelativeScore(None, None, cfg, tmp_path, metrics=metrics)


def test_a_metric_without_direction(tmp_path):
    """Of a class that nothing is known of."""
    cfg = config(tmp_path)
    cfg.tasks.seg.val_evaluator = [dict(type='IoUMetric'), dict(type='Unheard')]
    cfg = resolve_joint_config(cfg)
    with raises_naming(ValueError, "'seg'", "'f'", 'rule', "'less'"):
        MeanRelativeScore(None, None, cfg, tmp_path, metrics=dict(seg=['f']))
    with raises_naming(ValueError, "'seg'", "'f'", "'more'", 'rule', "'less'"):
        MeanRelativeScore(None, None, cfg, tmp_path, metrics=dict(seg=dict(f='more')))


def test_a_metric_without_direction_is_refused_before_training(tmp_path):
    """And what else the score can tell of a config, by a training and by the whole pipeline."""
    cfg = config(tmp_path / 'data')
    cfg.tasks.seg.val_evaluator = [dict(type='IoUMetric'), dict(type='Unheard')]
    cfg.search_cfg = dict(budget='1G', score=dict(type='MeanRelativeScore'))
    for metrics, named in (
        (dict(seg=['f']), ("'seg'", "'f'", 'rule')),
        (dict(sag=['mIoU']), ("'sag'", 'seg')),
    ):
        cfg.search_cfg.score.metrics = metrics
        with raises_naming(ValueError, 'search_cfg.score.metrics', *named):
            build_runner(cfg, tmp_path / 'work')
        with raises_naming(ValueError, 'search_cfg.score.metrics', *named):
            check_search(resolve_joint_config(cfg))
    for kind in ('MeanRelativeScore', 'PredictorScore'):
        for samples in (0, 'all'):
            cfg.search_cfg.score = dict(type=kind, samples=samples)
            with raises_naming(ValueError, 'search_cfg.score', 'samples', repr(samples)):
                build_runner(cfg, tmp_path / 'work')
    cfg.search_cfg.score = dict(type='MeanRelativeScore', metrics=dict(seg='mIoU'))
    with raises_naming(ValueError, "'seg'", "'mIoU'", 'list'):
        build_runner(cfg, tmp_path / 'work')
    cfg.search_cfg.score = dict(type='MeanRelativScore')
    with raises_naming(ValueError, 'search_cfg.score', 'MeanRelativScore'):
        build_runner(cfg, tmp_path / 'work')


def test_means_that_are_none(tmp_path):
    cfg = resolve_joint_config(config(tmp_path))
    evaluate = Evaluated({t: [{'mIoU': 0.0}] for t in cfg.tasks})
    with raises_naming(ValueError, "'mIoU'", "'alone'", 'reference'):
        MeanRelativeScore(evaluate, lambda *_: [dict.fromkeys(cfg.tasks, 0)], cfg, tmp_path)
    (tmp_path / 'means.json').write_text(json.dumps(dict(means=dict(alone=dict(mIoU=3.0)))))
    with raises_naming(ValueError, 'means.json', "'mIoU'", "'parts'"):
        MeanRelativeScore(None, None, cfg, tmp_path, file=str(tmp_path / 'means.json'))
    with raises_naming(FileNotFoundError, 'none.json'):
        MeanRelativeScore(None, None, cfg, tmp_path, file=str(tmp_path / 'none.json'))


def test_a_search_and_one_that_goes_on(tmp_path):
    """Its S-Scores are relative; random search has the same score; a history gives the same."""
    cfg = config(tmp_path / 'data')
    cfg.train_cfg.max_iters = 1
    build_runner(cfg, tmp_path / 'supernet').train()
    cfg.search_cfg = dict(
        budget='1G',
        score=dict(type='MeanRelativeScore', metrics=dict(seg=['mIoU', 'aAcc']), samples=3),
        evolution=dict(population=4, generations=2, parents=2, crossovers=1, mutations=2),
        random_baseline=True,
    )
    cfg, checkpoint = resolve_joint_config(cfg), tmp_path / 'supernet' / 'iter_1.pth'
    assert read_checkpoint(checkpoint)
    result = run_search(cfg, checkpoint, tmp_path / 'search')
    report = read_json(tmp_path / 'search' / 'report.json')
    assert report['score']['type'] == 'MeanRelativeScore'
    assert abs(result.score) < 200 and report['random']
    means = read_json(tmp_path / 'search' / 'reference.json')['means']
    assert set(means) == set(cfg.tasks) and set(means['seg']) == {'mIoU', 'aAcc'}
    history = (tmp_path / 'search' / 'history.jsonl').read_text()
    lines = history.splitlines(keepends=True)
    (tmp_path / 'again').mkdir()
    (tmp_path / 'again' / 'history.jsonl').write_text(''.join(lines[: len(lines) // 2]))
    assert run_search(cfg, checkpoint, tmp_path / 'again').chosen == result.chosen
    # The history has metrics, of which this score is made with means.
    with raises_naming(ValueError, 'history.jsonl', 'MeanRelativeScore', '--budget'):
        choose_again(tmp_path / 'search' / 'history.jsonl', 10**9, tmp_path / 'other')
