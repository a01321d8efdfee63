"""Settings of ECMT's configs are those of the paper."""

import copy

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

FOLDER = ROOT / 'configs' / 'scenes'
# Learning rate, lambda, batch, steps, channels of the decoders; widths; cycles, alpha, reference.
PAPER = {
    'ecmt-r34_nyud-3tasks': (1e-4, 1, 8, 100 * 715 / 8, 256, 'ecmt-nyud', (10, 0.2, 4)),
    'ecmt-mbv2_pascal-5tasks': (1e-4, 1e-3, 8, 100 * 4498 / 8, 128, 'ecmt-pascal', (10, 0.2, 3)),
    'ecmt-r9_cifar100-20tasks': (1e-3, 0.01, 256, 75 * 2250 / 256, None, 'ecmt-cifar', (150, 1, 1)),
}
WEIGHTS = dict(seg=1, depth=1, parts=2, saliency=5, edges=50, normals=10)


@pytest.mark.parametrize('name', PAPER)
def test_settings_are_the_papers(name):
    rate, kd_weight, batch, steps, channels, space, control = PAPER[name]
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    optimizer, train, told = cfg.optim_wrapper.optimizer, cfg.train_cfg, cfg.control
    assert (optimizer.type, optimizer.lr) == ('Adam', rate)
    assert (train.step.kd_weight, train.sampler.models) == (kd_weight, 4)
    assert abs(train.max_iters - steps) < 1.5
    assert (told.cycles, told.alpha, told.reference) == control
    assert cfg.backbone.space == space
    for task, own in cfg.tasks.items():
        stock = Config.fromfile(FOLDER / 'tasks' / f'{own.config.partition("tasks/")[2]}')
        loader = {**stock.train_dataloader, **own.train_dataloader}
        assert loader['batch_size'] == batch
        head = own.model.get('decode_head') or own.model.head
        assert head.space == space
        assert own.get('loss_weight', 1.0) == WEIGHTS.get(task, 1.0)
        if channels:
            default = Config(stock.model.decode_head).get('channels')
            assert head.get('channels', default) == channels
            erasing = [t for t in own.train_dataloader.dataset.pipeline if 'Erasing' in t.type]
            assert [t.erase_prob for t in erasing] == [0.5]


@pytest.mark.parametrize('name', PAPER)
def test_steps_are_those_of_losses_that_are_added_up(name):
    """The paper adds up models and tasks; decay, which Adam adds to the gradients, is 1e-4."""
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    heads = nn.ModuleDict({task: nn.Linear(3, 2) for task in cfg.tasks})
    ours = nn.ModuleDict(dict(backbone=nn.Linear(3, 2), tasks=heads)).double()
    for weight in ours.parameters():
        nn.init.normal_(weight, std=1000)
    theirs, start = copy.deepcopy(ours), copy.deepcopy(ours)
    rate, models = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.sampler.models
    own = build_optim_wrapper(ours, cfg.optim_wrapper)
    added = torch.optim.Adam(theirs.parameters(), lr=rate, weight_decay=1e-4)
    for _ in range(5):
        for (key, mean), total in zip(ours.named_parameters(), theirs.parameters()):
            total.grad = torch.randn_like(total) / 10
            # What ``Passes`` and the step make of it.
            mean.grad = total.grad / models
            if key.startswith('backbone.'):
                mean.grad /= len(cfg.tasks)
        own.step()
        added.step()
    for found, total, before in zip(*(m.parameters() for m in (ours, theirs, start))):
        torch.testing.assert_close(found - before, total - before, rtol=1e-3, atol=0)
