"""Trainings of tasks on the same images, from their configs to their checkpoints."""

import pytest
import torch
from helpers import build_runner, differences
from image_group import CountedLoad, joint_config, write_images

from mdl_nas_mm.engine.checkpoint import read_checkpoint


@pytest.fixture
def root(tmp_path):
    return write_images(tmp_path / 'images')


def train(cfg, folder, steps=4, resume=False):
    cfg.train_cfg.max_iters, cfg.resume = steps, resume
    build_runner(cfg, folder).train()
    checkpoint = read_checkpoint(folder / f'iter_{steps}.pth')
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer')}


def test_a_resumed_training_ends_bit_for_bit_where_the_whole_one_does(root, tmp_path):
    whole = train(joint_config(root), tmp_path / 'whole')
    train(joint_config(root), tmp_path / 'parts', steps=2)
    resumed = train(joint_config(root), tmp_path / 'parts', resume=True)
    assert differences(resumed, whole) == []
    assert all(torch.isfinite(value).all() for value in resumed['state_dict'].values())


def test_a_step_decodes_an_image_once(root, tmp_path):
    cfg = joint_config(root)
    cfg.val_cfg = None
    for task in cfg.tasks.values():
        task.train_dataloader.dataset.pipeline[0].type = 'CountedLoad'
    runner = build_runner(cfg, tmp_path / 'run')
    # A first sample with and one without the label of parts have been looked at.
    loop = runner.build_train_loop(runner.cfg.train_cfg)
    CountedLoad.decoded.clear()
    batches = next(iter(loop.dataloader))
    assert len(CountedLoad.decoded) == batches['scene'][0].images + 4
    assert loop.dataloader.datasets.keys() == {'seg', 'parts', 'alone'}


def test_what_does_not_fit_ends_the_training_before_its_first_step(root, tmp_path):
    cfg = joint_config(root)
    cfg.tasks.parts.train_dataloader.dataset.pipeline[2].prob = 0.2
    with pytest.raises(ValueError, match="'parts'.*prob=0.2.*'seg'.*prob=0.5"):
        build_runner(cfg, tmp_path / 'run').train()
