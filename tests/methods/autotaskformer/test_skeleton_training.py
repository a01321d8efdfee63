"""Algorithm 1 and Eq. 5: what a step learns from, against plain torch."""

import copy
import math
import signal
from pathlib import Path

import pytest
import torch
from distributed.trainings import largest_difference, trained
from helpers import build_runner, differences, run_python
from image_group import joint_config, write_images
from methods.autotaskformer.encoder_tree import SKELETONS, heads, tree_config, with_heads
from mmengine.optim import OptimWrapper
from refusals import assert_names, raises_naming
from shared_images import (
    GROUP,
    IMAGES,
    TASKS,
    WEIGHTS,
    build,
    group_batch,
    own_batch,
    plan_of,
    segmentor,
    specs_of,
)

from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import train_step
from mdl_nas_mm.methods.autotaskformer.heads import SkeletonHeads, weighing
from mdl_nas_mm.methods.autotaskformer.logits import gumbel
from mdl_nas_mm.methods.autotaskformer.step import AutoTaskFormerStep, UniformSkeletonStep
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.randomness import derive_seed

ADAM = dict(optimizer=dict(type='Adam', lr=0.1))
COOL = dict(steps=4, start=5.0, end=0.1)


def step_of(**others):
    step = AutoTaskFormerStep(
        dict.fromkeys(TASKS), COOL, freeze_rest=False, skeletons=SKELETONS, **others
    ).double()
    generator = torch.Generator().manual_seed(1)
    for of_task in step.skeletons.values():
        of_task.logits.data.normal_(generator=generator)
    return step


def run(model, step, specs, iteration=2, together=True):
    """Name -> gradient of a step of the package, those of the step itself among them."""
    model, step, found = copy.deepcopy(model), copy.deepcopy(step), {}
    pass_groups = (TASKS,) if together else tuple((task,) for task in TASKS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def keep(*_):
        named = [*model.named_parameters(), *step.named_parameters(prefix='step')]
        found.update({n: p.grad.clone() for n, p in named if p.grad is not None})

    optimizer.register_step_pre_hook(keep)
    batches = {GROUP: [group_batch(0, 0, False)]}
    passes = Passes(model, OptimWrapper(optimizer), batches, plan_of(pass_groups), iteration)
    train_step(step, passes, dict.fromkeys(TASKS, specs))
    return found, passes.losses


def matrix(model, spec, task):
    """Skeleton -> its loss, each by a run of its own with a single head."""
    found, data = {}, model.preprocess(task, own_batch(task, 0, 0, range(IMAGES)))
    for name, head in zip(SKELETONS, model.tasks[task].decode_head.heads):
        single = copy.copy(model.tasks[task])
        single._modules = dict(single._modules, decode_head=head)
        features = model.features(task, spec, data['inputs'])
        losses = head.loss(features, data['data_samples'], {})
        found[name] = losses['loss_ce']
    return found


def weights_by_hand(step, task, iteration, number):
    names = step.names[task]
    noise = gumbel(len(names), derive_seed(0, iteration, task, 'skeletons', number)).double()
    scores = (step.skeletons[task].logits.log_softmax(0) + noise) / (5.0 * 0.02 ** (iteration / 4))
    return dict(zip(names, scores.softmax(0)))


def test_the_loss_matrix_equals_separate_runs_of_each_skeleton():
    model = build(tree_config())
    spec = specs_of(model, 0)[0]
    for task in TASKS:
        data = model.preprocess(task, own_batch(task, 0, 0, range(IMAGES)))
        _, parts = model.loss(task, spec, data)
        separate = matrix(model, spec, task)
        for name in SKELETONS:
            assert float(parts[f'decode.of_{name}']) == pytest.approx(
                float(separate[name]), rel=1e-12
            )
            with weighing({name: torch.ones(())}):
                loss, alone = model.loss(task, spec, data)
            assert float(loss) == pytest.approx(float(separate[name]), rel=1e-12)
            assert [key for key in alone if '.of_' in key] == [f'decode.of_{name}']


@pytest.mark.parametrize('together', [True, False], ids=['one pass', 'a pass each'])
def test_a_step_has_the_gradients_of_equation_5(together):
    """Of weights and of logits, over the subnets of a step."""
    model, step = build(tree_config()), step_of()
    specs = specs_of(model, 0, 3)
    found, _ = run(model, step, specs, together=together)
    total = 0.0
    for number, spec in enumerate(specs):
        for task in TASKS:
            weights, losses = weights_by_hand(step, task, 2, number), matrix(model, spec, task)
            total = total + WEIGHTS[task] * sum(weights[name] * losses[name] for name in SKELETONS)
    (total / len(specs) / len(TASKS)).backward()
    named = [*model.named_parameters(), *step.named_parameters(prefix='step')]
    for name, parameter in named:
        expected = parameter.grad * (len(TASKS) if name.startswith('tasks.') else 1)
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-10)
    assert all(found[f'step.skeletons.{task}.logits'].abs().max() > 1e-6 for task in TASKS)


def test_leaving_out_changes_nothing_measurable_and_runs_fewer_heads():
    model, step = build(tree_config()), step_of(leave_out=1e-4)
    for of_task in step.skeletons.values():
        of_task.logits.data.copy_(torch.tensor([0.0, -20.0, 1.0]))
    specs = specs_of(model, 0)
    whole, losses = run(model, step, specs, iteration=4)
    for of_task in step.skeletons.values():
        of_task.left[1] = False
    without, fewer = run(model, step, specs, iteration=4)
    for task in TASKS:
        assert float(losses[f'{task}/loss']) == pytest.approx(
            float(fewer[f'{task}/loss']), rel=1e-7
        )
    for name, gradient in whole.items():
        if '.heads.1.' in name:
            assert name not in without
        else:
            torch.testing.assert_close(gradient, without[name], rtol=1e-5, atol=1e-7)


def test_uniform_sampling_has_one_skeleton_a_task_and_pass():
    step = UniformSkeletonStep(dict.fromkeys(TASKS), skeletons=SKELETONS)
    drawn = [step.weights('seg', i, n, 0) for i in range(300) for n in range(2)]
    assert all(len(weights) == 1 for weights in drawn)
    names = [next(iter(weights)) for weights in drawn]
    assert all(abs(names.count(name) / 600 - 1 / 3) < 0.07 for name in SKELETONS)
    assert [step.weights('seg', 3, 1, 0)] == [step.weights('seg', 3, 1, 0)]
    model = build(tree_config())
    found, _ = run(model, step.double(), specs_of(model, 0), iteration=1)
    for task in TASKS:
        used = {next(iter(step.weights(task, 1, n, 0))) for n in range(2)}
        having = {
            SKELETONS[int(n.split('.heads.')[1][0])] for n in found if f'{task}.decode_head' in n
        }
        assert having == used


def training(root, **step):
    """Two segmentations on the same images and one alone."""
    cfg = joint_config(write_images(root))
    cfg.backbone = dict(tree_config()['backbone'])
    cfg.backbone.pop('tasks')
    for task in cfg.tasks.values():
        model = segmentor(7)
        task.model = with_heads(model)
    cfg.train_cfg.step = (
        dict(
            type='AutoTaskFormerStep',
            temperature=COOL,
            skeletons=SKELETONS,
            optim_wrapper=ADAM,
        )
        | step
    )
    return cfg


def test_a_resumed_training_ends_like_the_whole_one(tmp_path):
    cfg = training(tmp_path / 'data')
    runner = build_runner(cfg, tmp_path / 'whole')
    runner.train()
    scalars = runner.message_hub.log_scalars
    temperatures = scalars['train/skeleton_temperature'].data[0].tolist()
    assert temperatures == pytest.approx([5.0 * 0.02 ** (i / 4) for i in range(4)])
    for task in cfg.tasks:
        entropies = scalars[f'train/{task}/skeleton_entropy'].data[0]
        assert len(entropies) == 4 and all(0 < e < math.log(3) + 1e-6 for e in entropies)
        assert f'val/{task}/mIoU' in scalars
        assert not [key for key in scalars if '.of_' in key]
    again = copy.deepcopy(cfg)
    again.resume, again.load_from = True, str(tmp_path / 'whole' / 'iter_2.pth')
    build_runner(again, tmp_path / 'resumed').train()
    whole, resumed = (read_checkpoint(tmp_path / n / 'iter_4.pth') for n in ('whole', 'resumed'))
    for key in ('state_dict', 'optimizer', 'method'):
        assert differences(whole[key], resumed[key]) == [], key
    state = whole['method']['step']
    assert state['skeletons.seg.logits'].abs().max() > 0.01
    for task in cfg.tasks:
        best = int(state[f'skeletons.{task}.logits'].argmax())
        assert int(whole['state_dict'][f'tasks.{task}.decode_head.chosen']) == best


@pytest.mark.slow
def test_a_killed_training_ends_like_the_whole_one(tmp_path):
    """SIGKILL after the third update, the second checkpoint not yet written."""
    cfg = training(tmp_path / 'data')
    cfg.randomness = dict(seed=0)
    cfg.dump(tmp_path / 'skeletons.py')
    build_runner(cfg, tmp_path / 'whole').train()
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from helpers import build_runner
from methods.autotaskformer import encoder_tree
from mmengine.config import Config
from mdl_nas_mm.methods.autotaskformer.step import AutoTaskFormerStep

def updated(step, model):
    whole(step, model)
    done.append(model)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

done, whole, AutoTaskFormerStep.updated = [], AutoTaskFormerStep.updated, updated
build_runner(Config.fromfile('skeletons.py'), 'killed').train()
"""
    died = run_python(code, cwd=tmp_path)
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    assert [path.name for path in (tmp_path / 'killed').glob('iter_*')] == ['iter_2.pth']
    cfg.resume = True
    runner = build_runner(cfg, tmp_path / 'killed')
    runner.train()
    assert runner.message_hub.log_scalars['train/skeleton_temperature'].data[0].size == 4
    whole, resumed = (read_checkpoint(tmp_path / n / 'iter_4.pth') for n in ('whole', 'killed'))
    for key in ('state_dict', 'optimizer', 'method'):
        assert differences(whole[key], resumed[key]) == [], key


@pytest.mark.distributed
def test_any_number_of_processes_chooses_the_same(tmp_path):
    # Adam makes much of differences of rounding.
    cfg = training(tmp_path / 'data', optim_wrapper=dict(optimizer=dict(type='SGD', lr=5.0)))
    cfg.val_cfg = None
    cfg.groups = dict(seg=1, parts=1, alone=1)
    ends = [trained(count, cfg, tmp_path / str(count)) for count in (0, 3)]
    assert largest_difference(*(end['state_dict'] for end in ends)) < 1e-5
    assert largest_difference(*(end['method']['step'] for end in ends)) < 1e-5
    assert ends[0]['method']['step']['skeletons.seg.logits'].abs().max() > 0.01


def test_what_does_not_fit_is_said_before_the_first_step(tmp_path):
    cfg = training(tmp_path / 'data')
    cfg.tasks.parts.model = segmentor(7)
    with raises_naming(ValueError, "'parts'", 'AutoTaskFormerStep', 'SkeletonHeads'):
        build_runner(cfg, tmp_path / 'plain').train()
    cfg = training(tmp_path / 'data', skeletons=[*SKELETONS, 'd2.1'])
    with raises_naming(ValueError, "'alone'", "'d2.1'", *SKELETONS):
        build_runner(cfg, tmp_path / 'more').train()
    cfg = training(tmp_path / 'data', temperature=dict(steps=4, start=0.1, end=5.0))
    with raises_naming(ValueError, 'temperature', 0.1, 5.0):
        build_runner(cfg, tmp_path / 'rises').train()


def test_a_temperature_of_another_length_than_the_training_is_said(tmp_path):
    cfg = training(tmp_path / 'data')
    build_runner(cfg, tmp_path / 'alike')
    cfg.train_cfg.max_iters = 3
    build_runner(cfg, tmp_path / 'shorter')
    said = [next((tmp_path / name).rglob('*.log')).read_text() for name in ('alike', 'shorter')]
    assert 'temperature.steps' not in said[0]
    (line,) = [line for line in said[1].splitlines() if 'train_cfg.step.temperature.steps' in line]
    assert_names(line, 'WARNING', COOL['steps'], 'train_cfg.max_iters', 3)


def test_skeletons_of_a_step_that_are_none():
    spaces = dict.fromkeys(TASKS)
    for skeletons, named in (
        ('single', (f"task '{TASKS[0]}'", "'single'")),
        (dict.fromkeys(TASKS, ['e1', 'd3.3']), ("'d3.3'",)),
        (dict.fromkeys(TASKS[1:], ['e1']), (TASKS[0],)),
        (dict.fromkeys((*TASKS, 'segg'), ['e1']), ("'segg'", *TASKS)),
    ):
        with raises_naming(ValueError, 'train_cfg.step', *named):
            UniformSkeletonStep(spaces, skeletons=skeletons)


@task_scope('mmseg')
def test_heads_that_are_missing_or_of_nothing():
    config = heads(segmentor(5)['decode_head'])
    config.pop('type')
    missing = dict(config, heads={k: v for k, v in config['heads'].items() if k != 'e2'})
    with raises_naming(ValueError, "'e2'", 'head'):
        SkeletonHeads(**missing)
    for key, value in (
        ('heads', dict(config['heads'], d1=config['heads']['e1'])),
        ('chosen', 'd1'),
    ):
        with raises_naming(ValueError, "'d1'", key, *SKELETONS):
            SkeletonHeads(**dict(config, **{key: value}))
    with raises_naming(ValueError, 'in_channels', '(8,)'):
        SkeletonHeads(**dict(config, in_channels=(8,)))
