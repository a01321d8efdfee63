"""One joint step: its subnets, its gradients, and what it refuses to go on with."""

import random
from types import SimpleNamespace

import pytest
import torch
from helpers import (
    POLICIES,
    ROOT,
    TASKS,
    build_model,
    build_runner,
    call_tool,
    joint_config,
    only,
    plan_alone,
)
from mmengine.optim import OptimWrapper
from mmengine.runner import set_random_seed
from refusals import assert_names, raises_naming

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.engine.amp import CPUAmpOptimWrapper, use_amp
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.runner import MultiTaskRunner
from mdl_nas_mm.engine.samplers import SandwichSampler
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.methods.mdl_nas import JointStep
from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config
from mdl_nas_mm.utils.randomness import derive_seed

SEED, ITERATION = 11, 4


@pytest.fixture(scope='module')
def batches(data):
    cfg = resolve_joint_config(joint_config(data))
    return {
        task: [next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))]
        for task, info in cfg.tasks.items()
    }


def sampled(space, tasks, seed, iteration, num_random):
    """What the sandwich sampler proposes."""
    return SandwichSampler(dict.fromkeys(tasks, space), seed, num_random).propose(iteration)


def sizes_of(spec):
    return [
        (stage.embed_dim, [(block.num_heads, block.mlp_ratio) for block in stage.blocks])
        for stage in spec.stages
    ]


@pytest.mark.parametrize('num_random', [0, 1, 3])
def test_sandwich_is_smallest_random_largest(data, num_random):
    space = family_of(joint_config(data).backbone).space(joint_config(data).backbone.space)
    ratios = set()
    for iteration in range(10):
        specs = sampled(space, TASKS, SEED, iteration, num_random)
        assert tuple(specs) == TASKS
        for group in specs.values():
            assert len(group) == 2 + num_random
            assert sizes_of(group[0]) == sizes_of(space.smallest())
            assert sizes_of(group[-1]) == sizes_of(space.largest())
            for spec in group:
                space.check(spec)
                ratios |= {(len(spec.stages[0].blocks), b.attn_share_ratio) for b in blocks(spec)}
    # Share ratios of the smallest and the largest are drawn as well.
    assert ratios == {(depth, ratio) for depth in (1, 2) for ratio in (0.3, 0.6)}


def blocks(spec):
    return [block for stage in spec.stages for block in stage.blocks]


def test_subnets_depend_on_seed_iteration_and_task_alone(data):
    space = family_of(joint_config(data).backbone).space(joint_config(data).backbone.space)
    specs = sampled(space, TASKS, SEED, ITERATION, 2)
    random.seed(0)
    assert sampled(space, TASKS, SEED, ITERATION, 2) == specs
    assert sampled(space, ('seg',), SEED, ITERATION, 2) == dict(seg=specs['seg'])
    assert sampled(space, TASKS, SEED + 1, ITERATION, 2) != specs
    assert sampled(space, TASKS, SEED, ITERATION + 1, 2) != specs


def test_a_single_architecture_is_trained_once_a_step():
    space = SearchSpace.from_config(
        dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2), TRANSFORMER
    )
    assert sampled(space, ('a',), 0, 0, 2) == dict(a=[space.largest()])


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_gradient_is_the_mean_over_tasks_where_shared(data, batches, sharing):
    """Against each task's passes on their own."""
    model = build_model(joint_config(data, sharing, {'backbone.drop_path_rate': 0.2})).train()
    weights = dict(cls=1.0, det=0.5, seg=2.0)
    specs = sampled(model.backbone.space, TASKS, SEED, ITERATION, 1)
    separate = {}
    for task in TASKS:
        set_random_seed(derive_seed(SEED, ITERATION, task, 0, 0))
        inputs = model.preprocess(task, batches[task][0])
        for spec in specs[task]:
            loss, _ = model.loss(task, spec, inputs)
            (weights[task] * loss / len(specs[task])).backward()
        separate[task] = gradients(model)
        model.zero_grad()

    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    joint = {}
    wrapper.step = lambda: joint.update(gradients(model))
    passes = Passes(model, wrapper, batches, plan_alone(weights, SEED), ITERATION)
    losses = train_step(JointStep({}), passes, specs)
    assert set(joint) == set().union(*separate.values())
    for name, gradient in joint.items():
        parts = [separate[task][name] for task in TASKS if name in separate[task]]
        owners = [task for task in TASKS if f'.{task}.' in f'.{name}']
        shared = name.startswith('backbone.') and '.specific.' not in name
        assert len(owners) == (0 if shared else 1), name
        expected = sum(parts) / (len(TASKS) if shared else 1)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6, msg=name)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.isfinite(losses[f'{task}/loss']) for task in TASKS)


def gradients(model):
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def test_a_batch_gives_the_same_step_after_any_other_work(data, batches):
    """Dropout, stochastic depth and upstream's sampling draw from the step's own seed."""
    cfg = joint_config(data, changes={'backbone.drop_path_rate': 0.5})
    results = []
    for noise in (1, 2):
        model = build_model(cfg).train()
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        specs = sampled(model.backbone.space, TASKS, SEED, ITERATION, 1)
        set_random_seed(noise)
        plan = plan_alone(dict.fromkeys(TASKS, 1.0), SEED)
        train_step(JointStep({}), Passes(model, wrapper, batches, plan, ITERATION), specs)
        results.append(model.state_dict())
    assert all(torch.equal(value, results[1][key]) for key, value in results[0].items())


@pytest.mark.parametrize(('task', 'bad'), [('det', float('nan')), ('seg', float('inf'))])
def test_loss_that_is_not_finite_stops_the_training(data, tmp_path, monkeypatch, task, bad):
    """It says where; the last checkpoint is whole, and from it the training goes on."""
    runner = build_runner(quick(data), tmp_path)
    model, seen = runner.model, []

    def loss(name, spec, inputs):
        value, parts = type(model).loss(model, name, spec, inputs)
        seen.append((name, spec))
        broken = name == task and runner.iter == 2 and len(seen) % 3 == 2
        return (value * bad if broken else value), parts

    monkeypatch.setattr(model, 'loss', loss)
    before = {}
    monkeypatch.setattr(
        runner,
        'call_hook',
        lambda name, **kwargs: (
            before.update({k: v.clone() for k, v in model.state_dict().items()})
            if name == 'before_train_iter'
            else None,
            type(runner).call_hook(runner, name, **kwargs),
        ),
    )
    with raises_naming(FloatingPointError, 'loss', bad, f"'{task}'", 'iteration 2') as error:
        runner.train()
    name, spec = seen[-1]
    assert name == task
    assert_names(str(error.value), f'subnet {spec}')
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']
    again = build_runner(quick(data, {'resume': True}), tmp_path)
    again.train()
    assert again.iter == 3


def quick(data, changes=None):
    """A config without validation, of three iterations with three subnets a task each."""
    cfg = joint_config(
        data,
        changes={'train_cfg.max_iters': 3, 'train_cfg.sampler.num_random': 1} | (changes or {}),
    )
    cfg.val_cfg = None
    return cfg


def test_num_random_is_short_for_the_usual_sampler(data, tmp_path):
    changes = {'train_cfg.sampler': None, 'train_cfg.num_random': 3}
    loop = build_runner(quick(data, changes), tmp_path / 'short').train_loop
    assert type(loop.sampler) is SandwichSampler and loop.sampler.num_random == 3
    runner = build_runner(quick(data, {'train_cfg.num_random': 3}), tmp_path / 'both')
    with raises_naming(ValueError, 'train_cfg.num_random', 'train_cfg.sampler'):
        runner.train_loop  # noqa: B018


def test_the_loop_runs_each_task_with_its_sandwich(data, tmp_path, monkeypatch):
    runner = build_runner(quick(data, {'train_cfg.sampler.num_random': 2}), tmp_path)
    model, seen = runner.model, []

    def loss(task, spec, inputs):
        seen.append((task, spec))
        return type(model).loss(model, task, spec, inputs)

    monkeypatch.setattr(model, 'loss', loss)
    runner.train()
    expected = []
    for iteration in range(3):
        specs = sampled(model.backbone.space, TASKS, runner.seed, iteration, 2)
        expected += [(task, spec) for task in TASKS for spec in specs[task]]
    assert seen == expected


def test_mixed_precision_on_a_cpu(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = quick(data, {'train_cfg.max_iters': 2})
    use_amp(cfg)
    runner = build_runner(cfg, tmp_path)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    kinds = set()
    fc1 = runner.model.backbone.blocks[0].mlp.fc1
    fc1.register_forward_hook(lambda module, args, out: kinds.add(out.dtype))
    runner.train()
    assert type(runner.optim_wrapper) is CPUAmpOptimWrapper
    assert kinds == {torch.bfloat16}
    after = runner.model.state_dict()
    assert all(value.dtype == before[key].dtype for key, value in after.items())
    assert all(value.isfinite().all() for value in after.values())
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    for part in ('backbone.blocks.0', 'tasks.cls', 'tasks.det', 'tasks.seg'):
        assert any(key.startswith(part) for key in changed)


def test_a_mixed_recipe_for_gpus_on_a_cpu(data, tmp_path, monkeypatch):
    """With --amp it is bfloat16 without a scale; without, one line says that there is --amp."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    mixed = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
    cfg = quick(data, {'optim_wrapper': mixed})
    with raises_naming(ValueError, 'AmpOptimWrapper', '--amp'):
        build_runner(cfg, tmp_path).train()
    use_amp(cfg)
    runner = build_runner(cfg, tmp_path)
    assert type(runner.build_optim_wrapper(runner.optim_wrapper)) is CPUAmpOptimWrapper
    cfg.optim_wrapper.loss_scale = 512.0
    with raises_naming(ValueError, 'optim_wrapper.loss_scale', 'CPUAmpOptimWrapper'):
        build_runner(cfg, tmp_path).train()
    cfg.optim_wrapper.type = 'my.OptimWrapperOfMine'
    with raises_naming(ValueError, '--amp', 'OptimWrapperOfMine'):
        use_amp(cfg)


def test_mixed_precision_with_the_recipe_of_the_tasks(data, tmp_path, monkeypatch):
    """The joint config names none; theirs is known when their configs have been read."""
    cfg, recipe = quick(data), "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))"
    cfg.optim_wrapper = None
    for name, task in cfg.tasks.items():
        base = ROOT / 'configs' / 'demo' / task.config
        task.config = str(tmp_path / f'{name}.py')
        (tmp_path / f'{name}.py').write_text(f'_base_ = [{str(base)!r}]\n{recipe}\n')
    cfg.dump(tmp_path / 'joint.py')
    built = []

    def build(_, cfg):
        built.append(cfg)
        return SimpleNamespace(train=lambda: None)

    monkeypatch.setattr(MultiTaskRunner, 'from_cfg', classmethod(build))
    call_tool(monkeypatch, 'train', tmp_path / 'joint.py', '--amp', '--work-dir', tmp_path)
    assert built[0].optim_wrapper.optimizer.type == 'SGD'
    assert built[0].optim_wrapper.type.endswith('AmpOptimWrapper')


def test_mixed_precision_on_a_gpu_is_mmengines_own(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = quick(data)
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'


def test_a_single_task_is_an_ordinary_training(data, tmp_path):
    cfg = only(quick(data), 'seg')
    runner = build_runner(cfg, tmp_path)
    runner.train()
    assert runner.iter == 3 and list(runner.model.tasks) == ['seg']


def test_accumulation_that_would_be_ignored_is_refused(data, tmp_path):
    cfg = quick(data, {'optim_wrapper.accumulative_counts': 2})
    with raises_naming(ValueError, 'accumulative_counts', 'groups'):
        build_runner(cfg, tmp_path)
