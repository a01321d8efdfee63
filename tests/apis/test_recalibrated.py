"""Batch norms are deposited as the search has scored them: estimated for the chosen subnet."""

import pytest
import torch
from helpers import TASKS, build_runner, joint_config, only, predict
from new_tasks import architectures, new_config
from torch.nn.modules.batchnorm import _BatchNorm

from mdl_nas_mm.apis import load_task, save_deposit
from mdl_nas_mm.apis.comparison import train_alone
from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.apis.pipeline import Stages
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import SupernetEvaluator, facts
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import given_spec, recalibrations, resolve_joint_config
from mdl_nas_mm.utils.files import write_json


def means(model):
    return [m.running_mean.clone() for m in model.modules() if isinstance(m, _BatchNorm)]


def training(data):
    """One step of three tasks, one of which has batch norms."""
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    cfg.val_cfg, cfg.recalibrate_images = None, 4
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='BN')
    return cfg


def test_the_deposit_has_the_statistics_of_the_chosen_subnet(data, tmp_path):
    cfg = training(data)
    build_runner(cfg, tmp_path).train()
    cfg, supernet = resolve_joint_config(cfg), tmp_path / 'iter_1.pth'
    model = load_supernet(cfg, supernet)
    trained, evaluator = means(model.tasks['seg']), SupernetEvaluator(model, cfg)
    spec = model.backbone.space.smallest()
    with evaluator.norms['seg',].applied({'seg': model.subnet('seg', spec)}):
        scored = means(model.tasks['seg'])
    path = tmp_path / 'deposit.safetensors'
    save_deposit(cfg, supernet, JointSpec(dict.fromkeys(TASKS, spec)), path)
    deposited = means(load_task(path, 'seg'))
    assert trained and len(deposited) == len(trained)
    for before, found, expected in zip(trained, deposited, scored):
        assert torch.equal(found, expected) and not torch.equal(found, before)


def test_a_task_that_is_added_has_its_own(data, tmp_path):
    cfg = training(data)
    build_runner(cfg, tmp_path).train()
    path = tmp_path / 'deposit.safetensors'
    save_deposit(resolve_joint_config(cfg), tmp_path / 'iter_1.pth', architectures(), path)
    more = new_config(data, path, None, like='seg', changes={'recalibrate_images': 4})
    more.tasks.more.model.decode_head.norm_cfg = dict(type='BN')
    build_runner(more, tmp_path / 'more').train()
    more, checkpoint = resolve_joint_config(more), tmp_path / 'more' / 'iter_4.pth'
    model, joint = load_supernet(more, checkpoint), given_spec(more)
    subnets = model.subnets(joint)
    recalibrations(more, model)['more',].apply(subnets)
    expected = means(subnets['more'])
    add_to_deposit(more, checkpoint, joint, path)
    deposited = means(load_task(path, 'more'))
    assert expected and all(map(torch.equal, deposited, expected))


def test_a_task_that_is_trained_alone_is_scored_as_it_is_validated(data, tmp_path):
    cfg = only(training(data), 'seg')
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    write_json(tmp_path / 'spec.json', dict(seg=architectures()['seg'].to_dict()))
    alone = train_alone(cfg, tmp_path / 'spec.json', Stages(tmp_path, dict(alone=1.0)), 1)
    fixed = only(training(data), 'seg')
    fixed.val_cfg, fixed.joint_spec = cfg.val_cfg, str(tmp_path / 'spec.json')
    fixed.pop('search_cfg')
    fixed.train_cfg.pop('sampler')
    fixed.load_from = str(tmp_path / 'alone' / 'seg' / 'iter_1.pth')
    validated = build_runner(fixed, tmp_path / 'val').val()
    for name, value in alone['seg'].items():
        assert validated[f'seg/{name}'] == pytest.approx(value), name


def test_answers_of_a_report_are_those_that_were_scored(data, tmp_path, monkeypatch):
    cfg, drawn = only(training(data), 'seg'), []
    build_runner(cfg, tmp_path).train()
    cfg = resolve_joint_config(cfg)
    model = load_supernet(cfg, tmp_path / 'iter_1.pth')
    evaluator = SupernetEvaluator(model, cfg)
    joint = JointSpec(dict(seg=model.backbone.space.smallest()))
    monkeypatch.setattr(facts, 'draw_sample', lambda *args: drawn.append(args[2]))
    facts.draw_answers(evaluator, evaluator.evaluations, cfg, joint, tmp_path)
    batch = next(iter(evaluator.evaluations['seg'].loader))
    answers = []
    for norms in (None, recalibrations(cfg, model)['seg',]):
        if norms is not None:
            norms.apply(model.subnets(joint))
        with torch.no_grad():
            answers.append(predict(model, 'seg', joint['seg'], batch))
    for sample, as_trained, expected in zip(drawn, *answers):
        logits = sample.seg_logits.data
        assert torch.allclose(logits, expected.seg_logits.data, atol=1e-5)
        assert not torch.allclose(logits, as_trained.seg_logits.data, atol=1e-5)
    assert drawn
