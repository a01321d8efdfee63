"""Trainings of tasks on the same images: what is logged, resumed and refused."""

import copy

import pytest
from distributed.trainings import largest_difference
from distributed.trainings import trained as trained_in_processes
from helpers import build_runner, differences, joint_config, only
from image_group import CROP, loaders, pipeline, write_images, write_list
from mmengine.hooks import Hook
from refusals import raises_naming
from shared_images import BACKBONES, segmentor

from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.tasks import resolve_joint_config

CLASSES = dict(seg=7, parts=7)


def group_config(data, root, changes=None):
    """Two segmentations of the same images, a third of which lack the second one's labels."""
    write_images(root)
    write_list(root, 'some', (0, 1, 3, 4))
    cfg, configs = only(joint_config(data), 'cls'), loaders(root, *CLASSES, moves=CROP)
    configs['parts']['dataset']['ann_file'] = 'some.txt'
    for task, loader in configs.items():
        model = segmentor(CLASSES[task])
        model['decode_head']['dropout_ratio'] = 0.2
        val = copy.deepcopy(loader)
        val['dataset']['pipeline'] = pipeline(task, moves=[])
        cfg.tasks[task] = dict(
            scope='mmseg',
            images='rooms',
            score='mIoU',
            backbone=dict(out_type='featmap', out_indices=(-1,)),
            model=model,
            train_dataloader=dict(loader, batch_size=2),
            val_dataloader=val,
            val_evaluator=dict(type='IoUMetric'),
        )
    cfg.tasks.cls.model.head.in_channels = 24
    cfg.backbone = dict(BACKBONES['ViT'], sharing='AllShared', drop_path_rate=0.2)
    for key in ('out_type', 'out_indices'):
        cfg.backbone.pop(key)
    cfg.val_cfg, cfg.groups = None, dict(rooms=2, cls=1)
    cfg.train_cfg.max_iters = 4
    cfg.default_hooks.logger.interval = 1
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
    cfg.merge_from_dict(changes or {})
    return cfg


class Killed(BaseException):
    pass


class KillHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            raise Killed


def test_killed_and_resumed_it_ends_like_the_uninterrupted(data, tmp_path):
    runner = build_runner(group_config(data, tmp_path / 'data'), tmp_path / 'whole')
    passed, forward = [], runner.model.backbone.forward_subnet
    runner.model.backbone.forward_subnet = lambda x, *args: passed.append(x) or forward(x, *args)
    runner.train()
    # A batch of cls and two of the rooms, of two subnets each.
    assert len(passed) == 4 * (1 + 2) * 2
    (log,) = (tmp_path / 'whole').glob('*/*.log')
    assert "images 'rooms': 'parts', 'seg' share a pass" in log.read_text()
    logged = runner.message_hub.log_scalars
    assert {'train/seg/loss', 'train/parts/loss', 'train/cls/loss'} <= logged.keys()
    killed = build_runner(group_config(data, tmp_path / 'data'), tmp_path / 'killed')
    killed.register_hook(KillHook())
    with pytest.raises(Killed):
        killed.train()
    again = group_config(data, tmp_path / 'data', {'resume': True})
    build_runner(again, tmp_path / 'killed').train()
    states = [read_checkpoint(tmp_path / name / 'iter_4.pth') for name in ('whole', 'killed')]
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert differences(*(state[key] for state in states)) == [], key


@pytest.mark.distributed
def test_three_processes_are_one_and_two_go_on(data, tmp_path):
    """The images have two of three processes, the other task one."""
    quiet = {'backbone.drop_path_rate': 0.0, 'default_hooks.checkpoint.interval': 2}
    cfg = group_config(data, tmp_path / 'data', quiet)
    for task in CLASSES:
        cfg.tasks[task].model.decode_head.dropout_ratio = 0.0
    ends = {}
    for world_size in (0, 3):
        ends[world_size] = trained_in_processes(world_size, cfg, tmp_path / str(world_size))
    (tmp_path / '3' / 'iter_4.pth').unlink()
    cfg.resume = True
    ends[2] = trained_in_processes(2, cfg, tmp_path / '3')
    for world_size in (3, 2):
        pair = (ends[0]['state_dict'], ends[world_size]['state_dict'])
        assert largest_difference(*pair) < 1e-5, world_size


UNCERTAIN = dict(type='UncertaintyWeighting', classification=['cls', 'parts'])
BALANCERS = [UNCERTAIN, dict(type='DynamicWeightAverage', window=1)]


@pytest.mark.distributed
@pytest.mark.parametrize('balance', BALANCERS, ids=['uncertainty', 'average'])
def test_balanced_with_missing_labels_three_processes_are_one(data, tmp_path, balance):
    """One image of six has a label of one task, so that in some steps no process has any."""
    cfg = group_config(data, tmp_path / 'data', {'backbone.drop_path_rate': 0.0})
    write_list(tmp_path / 'data', 'some', (0,))
    for task in CLASSES:
        cfg.tasks[task].model.decode_head.dropout_ratio = 0.0
    cfg.train_cfg.step = dict(type='JointStep', balance=balance)
    if balance is UNCERTAIN:
        cfg.train_cfg.step.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
    three = trained_in_processes(3, cfg, tmp_path / 'three')
    runner = build_runner(cfg, tmp_path / 'one')
    runner.train()
    assert 0 < len(runner.message_hub.get_scalar('train/parts/loss').data[0]) < 4
    weights = [runner.message_hub.get_scalar(f'train/{task}/weight').data[0] for task in cfg.tasks]
    assert len({float(of_task[-1]) for of_task in weights}) == 3
    one = read_checkpoint(tmp_path / 'one' / 'iter_4.pth')
    assert largest_difference(one['state_dict'], three['state_dict']) < 1e-5
    assert largest_difference(one['method']['step'], three['method']['step']) < 1e-5


@pytest.mark.parametrize(
    ('groups', 'names'),
    [
        (dict(seg=2, parts=1, cls=1), ('seg=2', 'parts=1', 'rooms=')),
        (dict(rooms=2, seg=2, cls=1), ('seg', 'rooms')),
        (dict(rooms=2), ('cls',)),
    ],
)
def test_batches_that_cannot_be_are_refused(groups, names):
    tasks, images = ('cls', 'seg', 'parts'), dict(rooms=('seg', 'parts'))
    with raises_naming(ValueError, 'groups', *names):
        assign_ranks(tasks, groups, 1, images)


def test_an_image_group_has_its_processes_together():
    tasks, images = ('cls', 'seg', 'parts', 'det'), dict(rooms=('seg', 'parts'))
    for batches in (dict(cls=1, rooms=4, det=1), dict(cls=1, seg=4, parts=4, det=1)):
        six = assign_ranks(tasks, batches, 6, images)
        rooms = (1, 2, 3, 4)
        assert six.ranks == dict(cls=(0,), seg=rooms, parts=rooms, det=(5,))
        assert [six.share(task) for task in tasks] == [0.1, 0.4, 0.4, 0.1]
        two = assign_ranks(tasks, batches, 2, images)
        assert two.ranks == dict(cls=(1,), seg=(0,), parts=(0,), det=(1,))


def test_different_architectures_of_a_pass_are_refused(data, tmp_path):
    space = resolve_joint_config(group_config(data, tmp_path)).backbone.space
    small = dict(space, embed_dim=16, depth=1, num_heads=1, mlp_ratio=1, share_ratio=0.3)
    large = dict(space, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2, share_ratio=0.6)

    def arch(choices):
        depth = choices['depth']
        ratios = dict.fromkeys(('attn_share_ratio', 'ffn_share_ratio'))
        own = {k: [v] * depth for k, v in choices.items() if k in ('num_heads', 'mlp_ratio')}
        own |= {key: [choices['share_ratio']] * depth for key in ratios}
        stage = dict(embed_dim=choices['embed_dim'], depth=depth, **own)
        return dict(stages=[stage])

    cfg = group_config(data, tmp_path)
    cfg.train_cfg.pop('sampler')
    cfg.pop('search_cfg')
    cfg.joint_spec = dict(cls=arch(small), seg=arch(large), parts=arch(large))
    resolve_joint_config(copy.deepcopy(cfg))
    cfg.joint_spec.parts = arch(small)
    with raises_naming(ValueError, "'seg'", "'parts'", 'joint_spec', 'tasks.seg.images'):
        resolve_joint_config(cfg)
