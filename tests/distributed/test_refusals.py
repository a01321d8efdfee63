"""What is wrong is said in one line, and no rank goes on or waits."""

import copy
import os
import runpy
import socket
import sys
from datetime import timedelta

import pytest
from distributed.processes import Processes
from distributed.trainings import training
from engine.test_image_group_training import group_config
from helpers import ROOT, only, refusal_of_tool, write_config
from image_group import joint_config, write_images
from refusals import assert_names, raises_naming
from shared_images import UPSTREAM, WIDTHS

from mdl_nas_mm.engine.launch import start_processes

pytestmark = pytest.mark.distributed


def tool(name, arguments, of_second):
    """Runs ``tools/<name>.py``; the second rank has more arguments."""
    if os.environ['RANK'] == '1':
        arguments = [*arguments, *of_second]
    sys.argv = [f'tools/{name}.py', *map(str, arguments), '--launcher', 'pytorch']
    runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')


def last_lines(world_size, cfg, folder, of_second=()):
    """What each rank said last, after all have failed."""
    folder.mkdir(exist_ok=True)
    arguments = [write_config(cfg, folder / 'mine.py'), '--work-dir', folder / 'work']
    processes = Processes(world_size, tool, 'train', arguments, of_second, folder=folder)
    codes, outputs = processes.wait(timeout=60), processes.outputs()
    assert codes == [1] * world_size, processes.texts(range(world_size))
    assert not any('Traceback' in text for text in outputs), processes.texts(range(world_size))
    return [text.splitlines()[-1] for text in outputs]


BAD = {
    'groups of other tasks': (
        {'groups': dict(cls=1, det=1, pose=1)},
        ('groups', ['cls', 'det', 'pose'], ['cls', 'det', 'seg']),
    ),
    'wrapper': (
        {'model_wrapper_cfg': dict(type='MMDistributedDataParallel')},
        ('model_wrapper_cfg',),
    ),
    'seeds': (
        {'randomness.diff_rank_seed': True},
        ('randomness', 'diff_rank_seed', False),
    ),
}


@pytest.mark.parametrize(('changes', 'named'), BAD.values(), ids=BAD)
def test_settings_that_no_rank_can_run(data, tmp_path, changes, named):
    cfg = training(data)
    cfg.pop('groups')
    cfg.merge_from_dict(changes)
    first, second = last_lines(2, cfg, tmp_path)
    assert_names(first, 'error: ', *named)
    assert second == first


def test_different_configs_on_two_ranks(data, tmp_path):
    options = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.5']
    first, *others = last_lines(3, training(data), tmp_path, options)
    assert_names(first, 'error: ', 'ranks [1]', 'rank 0', 'config')
    assert others == [first] * 2


def test_a_batch_that_is_too_small_for_its_ranks(data, tmp_path):
    """Only the ranks of one task see it; the first rank says it as well, the others nothing."""
    cfg = training(data, batches=dict(cls=1, det=1, seg=1))
    cfg.tasks.seg.train_dataloader.batch_size = 1
    first, *others, message = last_lines(6, cfg, tmp_path)
    assert_names(message, 'error: ', "'seg'", '1 images', '2 ranks', 'batch_size', 'groups')
    assert first in {f'{message} (rank {rank})' for rank in (4, 5)}
    assert others == ['1', '1', '1', message]


def test_a_loss_that_is_not_finite_on_one_rank(data, tmp_path):
    cfg = training(data)
    # After the first step the head is far away; nothing else is.
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={'tasks.seg.': dict(lr_mult=1e38)})
    first, second, third = last_lines(3, cfg, tmp_path)
    assert_names(third, 'error: ', 'loss', float('nan'), "'seg'", 'iteration 1', 'subnet')
    assert (first, second) == (f'{third} (rank 2)', '1')


def test_batch_norm_over_ranks_of_which_one_has_more_batches(data, tmp_path):
    cfg = only(training(data, batches=dict(cls=1, seg=3)), 'cls', 'seg')
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='SyncBN')
    first, second, message = last_lines(3, cfg, tmp_path)
    assert_names(message, 'error: ', "'seg'", 'SyncBN', '2 ranks', 3, 'groups.seg')
    assert first in {f'{message} (rank {rank})' for rank in (1, 2)}
    assert second == message


def test_synchronised_batch_norm_in_the_backbone(tmp_path):
    cfg = joint_config(write_images(tmp_path / 'data'))
    cfg.backbone = copy.deepcopy(UPSTREAM['ResNet'])
    cfg.backbone.module.norm_cfg = dict(type='SyncBN')
    for task in cfg.tasks.values():
        task.model.decode_head.in_channels = WIDTHS['ResNet']
    first, second = last_lines(2, cfg, tmp_path)
    assert_names(first, 'error: ', 'UpstreamBackbone', 'SyncBN', 'norm_cfg', "'GN'", "'BN'")
    assert second == first


def test_synchronised_batch_norm_where_images_lack_labels(data, tmp_path):
    """A process would wait for a batch that another one does not have."""
    cfg = only(group_config(data, tmp_path / 'data'), 'parts', 'seg')
    cfg.groups = dict(rooms=2)
    cfg.tasks.parts.model.decode_head.norm_cfg = dict(type='SyncBN')
    first, second = last_lines(2, cfg, tmp_path)
    assert_names(first, 'error: ', "'parts'", 'SyncBN', "'GN'")
    assert second == first


def test_launcher_without_its_environment(data, tmp_path, monkeypatch):
    path = write_config(training(data), tmp_path / 'mine.py')
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    for name in names:
        monkeypatch.delenv(name, raising=False)
    says = refusal_of_tool(
        monkeypatch, 'train', path, '--work-dir', tmp_path / 'work', '--launcher', 'pytorch'
    )
    assert_names(says, "launcher 'pytorch'", ' RANK ', 'torchrun', '--launcher none')
    for missing in names:
        for name in names:
            monkeypatch.setenv(name, '1')
        monkeypatch.delenv(missing)
        with raises_naming(ValueError, "launcher 'pytorch'", f' {missing} '):
            start_processes('pytorch', timedelta(seconds=1))


def test_a_port_that_is_in_use(data, tmp_path, monkeypatch):
    path = write_config(training(data), tmp_path / 'mine.py')
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environ = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1')
        for name, value in dict(environ, MASTER_PORT=port).items():
            monkeypatch.setenv(name, value)
        arguments = ('--work-dir', tmp_path / 'work', '--launcher', 'pytorch')
        says = refusal_of_tool(monkeypatch, 'train', path, *arguments)
    assert_names(says, 'rank 0', f'127.0.0.1:{port}', 'MASTER_ADDR', 'MASTER_PORT')
    assert 'EADDRINUSE' in says or 'in use' in says
