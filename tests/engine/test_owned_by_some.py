"""A weight that two of three tasks own: its gradient, what is frozen of it, its elements."""

import copy
import random

import numpy as np
import pytest
import torch
from helpers import TASKS, build_model, joint_config, random_joint
from mmengine.optim import OptimWrapper
from partly_owned import LAYER, OWNERS
from refusals import raises_naming

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.plan import StepPlan
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.sharing import AllSpecific
from mdl_nas_mm.spec import Owners, footprint
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config

# Of these the owners have 4/5 and 1/5, where of the tasks they are 2/3 and 1/3.
BATCHES = dict(cls=3, det=1, seg=1)
NAMES = [f'backbone.{LAYER}.specific.{label}.weight' for label in ('cls+seg', 'det')]


@pytest.fixture(scope='module')
def cfg(data):
    return joint_config(data, 'Sequential', {'backbone.type': 'PartlyOwnedViT'})


@pytest.fixture(scope='module')
def batches(cfg):
    cfg = resolve_joint_config(cfg)
    return {
        task: next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))
        for task, info in cfg.tasks.items()
    }


def gradients(model):
    named = dict(model.named_parameters())
    return {name: named[name].grad.clone() for name in NAMES if named[name].grad is not None}


def test_gradient_is_the_mean_over_the_owners(cfg, batches):
    """Each owner counts by its batches; against each task's passes on their own."""
    model = build_model(cfg).train()
    assignment = assign_ranks(TASKS, BATCHES, 1)
    plan = StepPlan.make(assignment, 0, dict.fromkeys(TASKS, 2), dict.fromkeys(TASKS, 1.0), 0)
    space = model.backbone.space
    specs = dict.fromkeys(TASKS, [space.smallest(), space.largest()])
    wrapper, found = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0)), {}
    wrapper.step = lambda: found.update(gradients(model))
    given = {t: [copy.deepcopy(batches[t]) for _ in range(BATCHES[t])] for t in TASKS}
    passes = Passes(model, wrapper, given, plan, 0)
    train_step(JointStep(dict.fromkeys(TASKS, space)), passes, specs)

    separate = {}
    for task in TASKS:
        given = {task: [copy.deepcopy(batches[task]) for _ in range(BATCHES[task])]}
        again = Passes(model, wrapper, given, plan, 0)
        for number, batch in enumerate(again.batches()):
            again.log(task, batch, dict(number=torch.tensor(float(number))))
            with again.prepared(batch) as inputs:
                for spec in specs[task]:
                    loss, _ = model.loss(task, spec, inputs[task])
                    (loss / len(specs[task]) / BATCHES[task]).backward()
        separate[task] = gradients(model)
        model.zero_grad()
        # The log has the mean over a task's batches.
        assert again.losses[f'{task}/number'] == (BATCHES[task] - 1) / 2
    expected = (3 * separate['cls'][NAMES[0]] + separate['seg'][NAMES[0]]) / 4
    torch.testing.assert_close(found[NAMES[0]], expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(found[NAMES[1]], separate['det'][NAMES[1]], rtol=1e-4, atol=1e-7)
    assert NAMES[0] not in separate['det']


def test_elements_are_counted_once_for_all_owners(cfg):
    model, rng = build_model(cfg), random.Random(0)
    ledger = model.backbone.ledger()
    for _ in range(5):
        joint = random_joint(model, rng)
        marks, alone = {}, dict.fromkeys(TASKS, 0)
        for task, spec in joint.items():
            for use in model.backbone.layout.uses(spec):
                rows = ~ledger.shared_rows(use)
                if use.layer != LAYER:
                    alone[task] += int(rows.sum()) * use.columns
                    continue
                owners = next(each for each in OWNERS if task in each)
                size = (use.groups, use.max_channels, use.max_columns)
                mark = marks.setdefault((owners, use.name), np.zeros(size, bool))
                mark[:, : use.channels, : use.columns] |= rows[..., None]
        of_both = sum(int(m.sum()) for (owners, _), m in marks.items() if len(owners) == 2)
        alone['det'] += sum(int(m.sum()) for (owners, _), m in marks.items() if len(owners) == 1)
        assert ledger.count(joint).specific == alone | ({'cls+seg': of_both} if of_both else {})
        found = footprint(ledger, joint.items())
        for (owners, name), mark in marks.items():
            leaf = name.rpartition('.')[2]
            key = f'{LAYER}.specific.{"+".join(owners)}.{leaf}'
            assert found[key, 0].sum() == mark.sum()


def test_a_layer_has_the_weights_of_the_tasks_that_are_here():
    for tasks, labels in ((('b',), ['a+b']), (('c', 'a'), ['a+b', 'c'])):
        layer = ElasticLinear(3, 2, AllSpecific(), tasks, owners=(('b', 'a'), ('c',)))
        assert list(layer.specific) == labels
        assert layer.owners[tasks[-1]] == Owners.of('a', 'b')
    with raises_naming(ValueError, "'a'", "'a+b'"):
        ElasticLinear(3, 2, AllSpecific(), ('a', 'b'), owners=(('a',), ('a', 'b')))
