"""Short joint trainings, in one process or in several, and how their ends are compared."""

import copy

import torch
from distributed.processes import run_processes
from helpers import build_runner, joint_config

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

STEPS = 5


def training(data, sharing='Sequential', optimizer='SGD', batches=None, changes=None):
    """Five steps; each task's batch is made of two batches that are never cut."""
    cfg = joint_config(data, sharing, {'train_cfg.max_iters': STEPS, **(changes or {})})
    cfg.val_cfg = None
    # Adam makes much of differences of rounding where gradients are near zero.
    settings = dict(SGD=dict(lr=0.02, momentum=0.9), AdamW=dict(lr=1e-3, eps=1e-4))
    cfg.optim_wrapper.optimizer = dict(type=optimizer, weight_decay=0.05, **settings[optimizer])
    cfg.groups = batches or dict(cls=2, det=2, seg=2)
    cfg.default_hooks.checkpoint.update(interval=STEPS)
    return cfg


def train(cfg, folder, distributed=True):
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    build_runner(cfg, folder).train()


def trained(world_size, cfg, folder, gpus=False):
    """The whole checkpoint that ``world_size`` processes leave; 0 means no launcher."""
    if world_size:
        run_processes(world_size, train, cfg, folder, folder=folder / 'logs', gpus=gpus)
    else:
        run_processes(1, train, cfg, folder, False, folder=folder / 'logs', gpus=gpus)
    return read_checkpoint(latest_checkpoint(folder))


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max(
        float((first[key].double() - second[key].double()).abs().max())
        for key in first
        # Each process has running statistics of its own part; none are in these models.
        if first[key].is_floating_point()
    )


def optimizer_tensors(whole):
    """The optimizer's tensors in a checkpoint, by name of the parameter and of the state."""
    return {
        f'{name}.{key}': value
        for name, state in whole['optimizer']['state'].items()
        for key, value in state.items()
        if torch.is_tensor(value)
    }


def check_three_then_two(cfg, folder):
    """The checkpoint of three processes, resumed by two; it has to be that of a single one."""
    cfg.default_hooks.checkpoint.update(interval=2)
    one = trained(0, cfg, folder / 'one')
    for end, world_size in ((2, 3), (4, 2)):
        part = copy.deepcopy(cfg)
        part.train_cfg.max_iters, part.resume = end, end > 2
        many = trained(world_size, part, folder / 'many')
    assert largest_difference(one['state_dict'], many['state_dict']) < 1e-5
    assert largest_difference(*map(optimizer_tensors, (one, many))) < 1e-4
    return many


def eventful(data):
    """Four steps with much beside them: clipping, dropped paths, validation, best models, EMA."""
    changes = {
        'train_cfg.max_iters': 4,
        'train_cfg.val_interval': 2,
        'train_cfg.sampler.num_random': 1,
        'backbone.drop_path_rate': 0.1,
        'backbone.with_cp': True,
        'tasks.seg.loss_weight': 0.5,
        # Far below the norms that come, so that every step is clipped.
        'optim_wrapper.clip_grad.max_norm': 0.05,
        'default_hooks.logger.interval': 1,
    }
    cfg = training(data, optimizer='AdamW', changes=changes)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='SyncBN')
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.2)]
    scores = [f'{task}/{cfg.tasks[task].score}' for task in cfg.tasks]
    cfg.default_hooks.checkpoint.update(
        interval=1, max_keep_ckpts=2, save_best=['s_score', *scores], rule='greater'
    )
    return cfg
