"""Penalties of differences of activations, against sums that are written out."""

import numpy as np
import pytest
import torch
from helpers import build_runner
from refusals import raises_naming
from sub_tasks import base_deposit, fixed, gated, sub_task, train

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.methods.computation_sharing import (
    ActivationPenalty,
    Frames,
    fix_places,
    linear_layers,
    save_difference,
)

IMAGES = 2


@pytest.fixture
def inputs():
    """Of two layers, ours and theirs: (images, tokens, channels)."""
    generator = torch.Generator().manual_seed(0)
    shapes = dict(qkv=(IMAGES, 3, 4), fc2=(IMAGES, 3, 5))
    return tuple(
        {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in shapes.items()}
        for _ in range(2)
    )


def differences(inputs):
    return [(inputs[0][name] - inputs[1][name]).numpy() for name in inputs[0]]


def test_sums_and_means_of_elements(inputs):
    total = sum(np.abs(each).sum() for each in differences(inputs))
    found = ActivationPenalty(0.5)(*inputs, IMAGES)
    assert float(found) == pytest.approx(0.5 * total / IMAGES, rel=1e-6)
    count = sum(each.size for each in differences(inputs))
    found = ActivationPenalty(0.5, reduction='mean')(*inputs, IMAGES)
    assert float(found) == pytest.approx(0.5 * total / count, rel=1e-6)


def test_tokens_are_penalised_as_a_whole(inputs):
    total = 0.0
    for each in differences(inputs):
        for token in each.reshape(-1, each.shape[-1]):
            total += np.sqrt(len(token)) * np.sqrt((token**2).sum())
    found = ActivationPenalty(2.0, grain='tokens')(*inputs, IMAGES)
    assert float(found) == pytest.approx(2 * total / IMAGES, rel=1e-6)
    ones = dict(qkv=torch.ones(1, 3, 4)), dict(qkv=torch.zeros(1, 3, 4))
    by_elements, by_tokens = (
        ActivationPenalty(1.0, grain)(*ones, 1) for grain in ('elements', 'tokens')
    )
    assert float(by_elements) == float(by_tokens) == 12


def test_equal_tokens_have_no_gradient():
    ours = torch.zeros(1, 2, 4, requires_grad=True)
    ActivationPenalty(1.0, 'tokens')(dict(a=ours), dict(a=torch.zeros(1, 2, 4)), 1).backward()
    assert not ours.grad.any()


def test_frames_are_the_channels_of_a_clip():
    frames = Frames.of(dict(coefficient=1.0, first=-2, last=2))
    clip = torch.arange(15.0)[None, :, None, None].expand(2, 15, 3, 4)
    found = frames.split(clip)
    assert sorted(found) == frames.others[:2] + [0] + frames.others[2:] == [-2, -1, 0, 1, 2]
    assert found[0][0, :, 0, 0].tolist() == [6, 7, 8]
    assert found[2][0, :, 0, 0].tolist() == [12, 13, 14]
    # Of three frames, each of one channel, there are none.
    three = Frames.of(dict(coefficient=1.0, first=-1, last=1))
    for given, channels in ((frames, 9), (three, 3)):
        with raises_naming(ValueError, channels, 'clip_length', 'clip_after', 'LoadClip'):
            given.split(torch.zeros(1, channels, 2, 2))


def test_one_offset_counts_as_often_as_there_are_others():
    """So that its mean is the sum over all."""
    frames = Frames.of(dict(coefficient=1.0, first=-2, last=2, use='one'))
    drawn = [frames.chosen(torch.Generator().manual_seed(seed)) for seed in range(400)]
    assert {factor for _, factor in drawn} == {4.0}
    counts = np.bincount([offsets[0] + 2 for offsets, _ in drawn])
    assert counts[2] == 0 and counts[[0, 1, 3, 4]].min() > 60
    again = frames.chosen(torch.Generator().manual_seed(3))
    assert again == drawn[3]
    assert Frames.of(dict(coefficient=1.0, first=-1, last=0)).chosen(torch.Generator()) == (
        [-1],
        1.0,
    )


@pytest.mark.parametrize(
    ('build', 'named'),
    [
        (lambda: ActivationPenalty(-1.0), 'coefficient'),
        (lambda: ActivationPenalty('x'), 'coefficient'),
        (lambda: ActivationPenalty(float('nan')), 'nan'),
        (lambda: ActivationPenalty(1.0, 'layers'), "'layers'"),
        (lambda: ActivationPenalty(1.0, reduction='max'), "'max'"),
        (lambda: Frames.of(dict(coefficient=1.0, first=0, last=0)), 'frames'),
        (lambda: Frames.of(dict(coefficient=1.0, first=1, last=2)), 'frames'),
        (lambda: Frames.of(dict(coefficient=1.0, first=-1.0, last=2)), 'frames'),
        (lambda: Frames.of(dict(coefficient=1.0, first=-1)), 'last'),
        (lambda: Frames.of(dict(coefficient=1.0, first=-1, last=1, ues='one')), 'ues'),
        (lambda: ActivationPenalty.of(dict(coeficient=1.0)), 'coeficient'),
        (lambda: ActivationPenalty.of({}), 'coefficient'),
        (lambda: Frames.of(dict(coefficient=1.0, first=-1, last=1, use='all')), "'all'"),
    ],
)
def test_settings_out_of_range_are_refused(build, named):
    with raises_naming(ValueError, 'train_cfg.step', named):
        build()


def test_the_penalty_of_a_step_is_that_of_two_separate_backbones(data, tmp_path, monkeypatch):
    """Base and sub-task as models of their own, on the images of the first batch."""
    base = base_deposit(data, tmp_path / 'base')
    state = train(sub_task(data, base, gated()), tmp_path / 'gates')['method']['step']
    path = tmp_path / 'difference.safetensors'
    save_difference(path, fix_places(state, 0.5))
    step = fixed(path, activations=dict(coefficient=0.01))
    cfg = sub_task(data, base, step, {'train_cfg.max_iters': 1, 'train_cfg.dry_run': False})
    runner, seen = build_runner(cfg, tmp_path / 'work'), {}

    def keep(passes, task, spec, data):
        if not seen:
            backbone = passes.model.subnet(task, spec).backbone
            seen.update(images=data['inputs'].clone(), backbone=backbone)
        return passes_forward(passes, task, spec, data)

    passes_forward = Passes.forward
    monkeypatch.setattr(Passes, 'forward', keep)
    runner.train()
    found = []
    for backbone in (seen['backbone'], Deposit(base).load_task('cls').backbone):
        inputs = {}

        def hook(name, into=inputs):
            return lambda _, args: into.update({name: args[0].double().numpy()})

        for name, layer in linear_layers(backbone).items():
            layer.register_forward_pre_hook(hook(name))
        with torch.no_grad():
            backbone(seen['images'])
        found.append(inputs)
    total = sum(np.abs(found[0][name] - found[1][name]).sum() for name in found[0])
    logged = runner.message_hub.get_scalar('train/more/loss_activations').current()
    assert total > 0
    assert logged == pytest.approx(0.01 * total / len(seen['images']), rel=1e-4)


def test_equal_frames_have_no_penalty_whatever_is_dropped(data, tmp_path, monkeypatch):
    """Stochastic depth drops the same paths in the passes of all frames, as in the base's."""
    base = base_deposit(data, tmp_path / 'base', backbone='Swin')
    cfg = sub_task(data, base, gated(), backbone='Swin')
    state = train(cfg, tmp_path / 'gates')['method']['step']
    path = tmp_path / 'difference.safetensors'
    save_difference(path, fix_places(state, 0.5))
    # Every frame of the clip is the one image.
    monkeypatch.setattr(Frames, 'split', lambda self, clip: {-1: clip, 0: clip, 1: clip})
    step = fixed(path, frames=dict(coefficient=0.01, first=-1, last=1))
    changes = {'train_cfg.max_iters': 2, 'backbone': dict(drop_path_rate=0.5)}
    runner = build_runner(sub_task(data, base, step, changes, 'Swin'), tmp_path / 'work')
    assert max(getattr(m, 'drop_prob', 0) for m in runner.model.backbone.modules()) == 0.5
    runner.train()
    assert runner.message_hub.get_scalar('train/more/loss_frames').data[0].tolist() == [0, 0]
