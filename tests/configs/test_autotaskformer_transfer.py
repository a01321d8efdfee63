"""Section 4.3 in small: a tree is trained and searched, and others start from what it deposits."""

import shutil

import pytest
import torch
from configs.test_autotaskformer_configs import FOLDER, SPACE, WIDTHS, new_tasks
from configs.test_scene_configs import in_layouts, layouts  # noqa: F401
from helpers import build_runner
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.apis.deposits import add_to_deposit
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.verify import largest_differences, verify
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.families.swin_unet.skeletons import level_of
from mdl_nas_mm.methods.autotaskformer.choice import (
    SkeletonChoice,
    chosen_checkpoint,
    chosen_config,
)
from mdl_nas_mm.search import run_search
from mdl_nas_mm.tasks import given_spec, resolve_joint_config
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.torch_file import write_torch_file

pytestmark = pytest.mark.slow
TASKS = ('normals', 'autoencoding')
TRANSFER, GENERALISE = 'transfer_nyud-3tasks', 'generalise_taskonomy-3tasks'


def tree():
    """Two tasks of the config for Taskonomy with narrow cells, two steps of two images."""
    cfg = Config.fromfile(FOLDER / 's_taskonomy-16tasks.py')
    cfg.tasks = {name: cfg.tasks[name] for name in TASKS}
    cfg.backbone.update(space=SPACE, head_dim=4)
    for task in cfg.tasks.values():
        task.model.decode_head.in_channels, task.model.decode_head.head.channels = WIDTHS, 4
        loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
        task.update(train_dataloader=loader, val_dataloader=loader)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.train_cfg.step.temperature.steps = 2
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=2)
    cfg.search_cfg = dict(
        budget='1G',
        evolution=dict(population=2, generations=2, parents=1, crossovers=0, mutations=1),
    )
    return resolve_joint_config(cfg)


@pytest.fixture(scope='module')
def searched(layouts, tmp_path_factory, quick_mmengine):  # noqa: F811
    """The deposit of a trained and searched tree, and each task's skeleton."""
    root = tmp_path_factory.mktemp('searched')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(layouts)
        cfg = tree()
        build_runner(cfg, root / 'work').train()
        path = root / 'work' / 'iter_2.pth'
        checkpoint = read_checkpoint(path)
        choice = SkeletonChoice.read(cfg, path, checkpoint)
        write_torch_file(root / 'supernet.pth', chosen_checkpoint(cfg, choice, checkpoint))
        cfg = resolve_joint_config(chosen_config(cfg, choice))
        result = run_search(cfg, root / 'supernet.pth', root / 'search')
        deposit = layouts / 'work_dirs' / 's_taskonomy-16tasks' / 'tasks.safetensors'
        deposit.parent.mkdir(parents=True, exist_ok=True)
        save_deposit(cfg, root / 'supernet.pth', result.chosen.joint, deposit)
    return deposit, {task: skeleton.name for task, skeleton in choice.skeletons.items()}


def trained(name, skeleton, folder):
    """The config of new tasks, and the checkpoint of their training."""
    cfg = new_tasks(name, WIDTHS[level_of(skeleton) - 1])
    build_runner(cfg, folder).train()
    return cfg, folder / 'iter_2.pth'


def backbone_of(path, task):
    return Deposit(path).load_task(task).backbone.state_dict()


def test_a_new_domain_trains_the_backbone_on(searched, tmp_path):
    """With heads of its own, in a deposit of its own; the old one takes no backbone that moved."""
    base, skeletons = searched
    digest = sha256_of(base)
    cfg, checkpoint = trained(TRANSFER, skeletons['normals'], tmp_path)
    with raises_naming(ValueError, 'shared weight', "'nyud_"):
        add_to_deposit(cfg, checkpoint, given_spec(cfg), base)
    assert sha256_of(base) == digest
    own = tmp_path / 'nyud.safetensors'
    save_deposit(cfg, checkpoint, given_spec(cfg), own)
    assert set(Deposit(own).tasks) == set(cfg.tasks) and all(verify(own).values())
    before = backbone_of(base, 'normals')
    for task in cfg.tasks:
        after = backbone_of(own, task)
        assert after.keys() == before.keys()
        assert any(not torch.equal(after[key], before[key]) for key in before)


def test_new_tasks_on_the_frozen_backbone_change_no_answer(searched, tmp_path, image):
    base, skeletons = searched
    grown = shutil.copy(base, tmp_path / 'grown.safetensors')
    cfg, checkpoint = trained(GENERALISE, skeletons['autoencoding'], tmp_path)
    add_to_deposit(cfg, checkpoint, given_spec(cfg), grown)
    assert set(Deposit(grown).tasks) == {*TASKS, 'jigsaw', 'inpainting', 'denoising'}
    assert all(verify(grown).values())
    assert largest_differences(base, grown, [image]) == dict.fromkeys(TASKS, 0.0)
    before = backbone_of(base, 'autoencoding')
    for task in cfg.tasks:
        after = backbone_of(grown, task)
        assert after.keys() == before.keys()
        assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.fixture
def image():
    """Random pixels (64, 64, 3)."""
    return (
        torch.randint(256, (64, 64, 3), generator=torch.Generator().manual_seed(0)).byte().numpy()
    )
