"""Weights that a pass is said not to touch get no gradient in it, not even of zeros."""

import random

import pytest
import torch
from helpers import POLICIES, TASKS, build_model, joint_config, plan_alone
from mmengine.optim import OptimWrapper

from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.untouched import untouched
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_what_is_not_touched_has_no_gradient(data, sharing):
    cfg = joint_config(data, sharing, {'backbone.space.share_ratio': (0.0, 0.6, 1.0)})
    model = build_model(cfg).train()
    cfg, space = resolve_joint_config(cfg), model.backbone.space
    batches = {
        task: [next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))]
        for task, info in cfg.tasks.items()
    }
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    passes = Passes(model, wrapper, batches, plan_alone(dict.fromkeys(TASKS, 1.0), 0), 0)
    rng, found = random.Random(0), 0
    for batch in passes.batches():
        (task,) = batch.tasks
        with passes.prepared(batch) as inputs:
            specs = [space.smallest(0), space.smallest(), space.largest(0), space.sample(rng)]
            for spec in specs:
                model.zero_grad()
                passes.backward(task, passes.forward(task, spec, inputs[task])[0], 1.0)
                others = untouched(model, {task: spec})
                assert all(parameter.grad is None for parameter in others)
                found += len(others)
            heads = {p for other in TASKS if other != task for p in model.tasks[other].parameters()}
            assert heads <= others
    assert found > 100
