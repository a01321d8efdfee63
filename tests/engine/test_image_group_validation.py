"""Tasks on the same images are evaluated in one pass, with the metrics of a pass each."""

import copy

import pytest
from distributed.test_validation_in_groups import validated
from engine.test_image_group_training import group_config
from helpers import build_runner
from image_group import CountedLoad

from mdl_nas_mm.families.vit import ElasticViT

ROOMS = ('parts', 'seg')


@pytest.fixture
def cfg(data, tmp_path):
    """Two segmentations, a third of the images without the second's labels, and a classifier."""
    cfg = group_config(data, tmp_path / 'data')
    cfg.val_cfg, cfg.groups = dict(type='MultiTaskValLoop'), None
    for task in ROOMS:
        cfg.tasks[task].val_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
        cfg.tasks[task].val_dataloader.dataset.pipeline[0].type = 'CountedLoad'
    return cfg


@pytest.fixture
def passed(monkeypatch):
    """How many images each pass of a backbone has, of plain copies too."""
    sizes, forward = [], ElasticViT.forward_subnet

    def counting(self, x, *args):
        sizes.append(len(x))
        return forward(self, x, *args)

    monkeypatch.setattr(ElasticViT, 'forward_subnet', counting)
    return sizes


def apart(cfg):
    """The same tasks, each with a loader and a pass of its own."""
    cfg = copy.deepcopy(cfg)
    for task in ROOMS:
        cfg.tasks[task].pop('images')
    return cfg


def rooms(metrics):
    return {name: value for name, value in metrics.items() if name.startswith(ROOMS)}


@pytest.mark.parametrize('exchanged', [False, True])
def test_metrics_are_those_of_a_pass_each(cfg, tmp_path, passed, exchanged):
    """Whichever task comes first: the one that has all labels, or the one that lacks some."""
    if exchanged:
        cfg.tasks.parts, cfg.tasks.seg = cfg.tasks.seg, cfg.tasks.parts
    found = {}
    for name, each in dict(apart=apart(cfg), together=cfg).items():
        runner = build_runner(each, tmp_path / name)
        passed.clear(), CountedLoad.decoded.clear()
        found[name] = runner.val(), list(passed), len(CountedLoad.decoded)
    (expected, alone, loaded), (metrics, together, decoded) = found.values()
    assert metrics.keys() == expected.keys() and rooms(metrics)
    assert metrics == pytest.approx(expected, abs=1e-6, nan_ok=True)
    # Six images, of which four have the label of the second task. Two more are loaded when the loop
    # is built, one with each of the sets of labels.
    assert sum(alone) - sum(together) == 4
    assert (loaded, decoded) == (10 + 2, 6 + 2)


def test_tasks_with_weights_of_their_own_still_load_once(cfg, tmp_path, passed):
    cfg.backbone.sharing = 'Sequential'
    found = {}
    for name, each in dict(apart=apart(cfg), together=cfg).items():
        runner = build_runner(each, tmp_path / name)
        passed.clear(), CountedLoad.decoded.clear()
        found[name] = runner.val(), sum(passed), len(CountedLoad.decoded)
    (expected, alone, _), (metrics, together, decoded) = found.values()
    assert metrics == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert alone == together and decoded == 6 + 2


@pytest.mark.distributed
def test_any_number_of_processes_gives_the_same_metrics(cfg, tmp_path):
    """Of three, two have the images: each half of them, and parts of the labels."""
    expected = build_runner(apart(cfg), tmp_path / 'one').val()
    for world_size in (2, 3):
        for metrics, _ in validated(world_size, cfg, tmp_path / str(world_size)):
            assert metrics == pytest.approx(expected, abs=1e-6, nan_ok=True), world_size
