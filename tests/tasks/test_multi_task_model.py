"""The real upstream models around one backbone, which is there once."""

import copy
import itertools
import random

import pytest
import torch
from helpers import (
    POLICIES,
    TASKS,
    WIDTH,
    build_model,
    differences,
    joint_config,
    only,
    plain,
    predict,
    random_joint,
)
from mmdet.models import MaskRCNN
from mmpretrain.models import ImageClassifier
from mmseg.models import EncoderDecoder, UPerHead
from refusals import raises_naming

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.tasks import build_train_loader, resolve_joint_config


@pytest.fixture(scope='module')
def cfg(data):
    return resolve_joint_config(joint_config(data))


@pytest.fixture(scope='module')
def model(cfg):
    return build_model(cfg)


@pytest.fixture(scope='module')
def batches(cfg):
    return {
        task: next(iter(build_train_loader(task, info.scope, cfg.train_dataloader[task], seed=0)))
        for task, info in cfg.tasks.items()
    }


def test_upstream_classes_are_the_real_ones(model):
    assert type(model.tasks.cls) is ImageClassifier
    assert type(model.tasks.det) is MaskRCNN
    assert type(model.tasks.seg) is EncoderDecoder
    assert type(model.tasks.seg.decode_head) is UPerHead
    for task in TASKS:
        assert model.tasks[task].backbone is model.backbone


def test_building_leaves_the_config_as_it_is(data):
    """It tells a search which one it is, also where each process has built other tasks."""
    cfg = resolve_joint_config(joint_config(data))
    text = cfg.pretty_text
    build_model(cfg)
    assert cfg.pretty_text == text


@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
def test_backbone_is_in_the_state_dict_once(data, sharing):
    model = build_model(joint_config(data, sharing))
    own = set(model.backbone.state_dict())
    assert {k.removeprefix('backbone.') for k in model.state_dict() if k[0] == 'b'} == own
    heads = [key for key in model.state_dict() if not key.startswith('backbone.')]
    assert heads and all(key.startswith('tasks.') and 'backbone' not in key for key in heads)
    parameters = list(model.parameters())
    assert len(parameters) == len({id(parameter) for parameter in parameters})
    sizes = sum(parameter.numel() for parameter in model.backbone.parameters())
    heads = sum(model.head_sizes().values())
    assert sizes + heads == sum(parameter.numel() for parameter in parameters)


def test_each_task_runs_as_what_is_active(model, batches):
    """Its loss is that of the same features by plain arguments, for every task."""
    joint = random_joint(model, random.Random(3))
    seen = []
    handle = model.backbone.register_forward_hook(lambda _, args, out: seen.append((args, out)))
    try:
        model.eval()
        for task in TASKS:
            data = model.preprocess(task, batches[task])
            loss, parts = model.loss(task, joint[task], data)
            assert torch.isfinite(loss) and 'loss' in parts
            (images,), features = seen.pop()
            expected = model.backbone.forward_subnet(images, task, joint[task])
            assert all(torch.equal(a, b) for a, b in zip(features, expected, strict=True))
            assert all(feature.shape[1] == WIDTH for feature in features)
        assert not seen
    finally:
        handle.remove()


@torch.no_grad()
def test_a_subnet_taken_out_predicts_as_it_does_inside(model, batches):
    """Also when weights have changed since another one was taken out."""
    model.eval()
    changed, joint = copy.deepcopy(model), random_joint(model, random.Random(1))
    for task, spec in joint.items():
        answers = []
        for _ in range(2):
            subnet = changed.subnet(task, spec)
            answers.append(plain(subnet.val_step(copy.deepcopy(batches[task]))))
            inside = plain(predict(changed, task, spec, copy.deepcopy(batches[task])))
            assert differences(answers[-1], inside) == []
            for parameter in changed.parameters():
                parameter.mul_(1.1)
        assert differences(*answers) != []
    assert type(subnet) is type(changed.tasks[task]) and subnet is not changed.tasks[task]
    assert changed.tasks[task].backbone is changed.backbone


def test_predictions_come_as_upstream_samples(cfg, model, batches):
    model.eval()
    spec = model.backbone.space.largest()
    with torch.no_grad():
        cls, det, seg = (predict(model, task, spec, batches[task]) for task in TASKS)
    assert cls[0].pred_score.shape == (10,)
    assert det[0].pred_instances.bboxes.shape[1] == 4
    assert len(det[0].pred_instances.masks) == len(det[0].pred_instances.bboxes) > 0
    assert seg[0].pred_sem_seg.shape == seg[0].gt_sem_seg.shape


def test_moving_or_switching_the_joint_model_does_so_once(model):
    calls = []
    original = model.backbone.train

    def train(mode=True):
        calls.append(mode)
        return original(mode)

    object.__setattr__(model.backbone, 'train', train)
    try:
        model.train()
        model.eval()
    finally:
        object.__delattr__(model.backbone, 'train')
    assert calls == [True, False]
    assert not any(module.training for module in model.modules())


def test_a_joint_model_has_no_forward(model):
    with raises_naming(NotImplementedError, 'loss', 'subnet', 'task'):
        model(torch.zeros(1))


def test_nothing_is_active_outside(model):
    spec = model.backbone.space.smallest()
    images = torch.zeros(1, 3, 16, 16)
    model.eval()
    with activate('cls', spec):
        small = model.backbone(images)
    with raises_naming(ValueError, 'task None'):
        model.backbone(images)
    assert small[0].count_nonzero() <= 16


@pytest.mark.parametrize('names', [('cls', 'cls'), ('a', 'b', 'a')])
def test_two_tasks_of_one_name_are_refused(names):
    space = dict(embed_dim=8, depth=1, num_heads=1, mlp_ratio=1)
    with raises_naming(ValueError, repr(names[0])):
        ElasticViT(space, 'Sequential', tasks=names)


def test_model_that_does_not_keep_its_backbone_is_refused(data, monkeypatch):
    cfg = resolve_joint_config(only(joint_config(data), 'cls'))
    original = ImageClassifier.__init__

    def replaced(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.backbone = torch.nn.Identity()

    monkeypatch.setattr(ImageClassifier, '__init__', replaced)
    with raises_naming(ValueError, 'ImageClassifier', "'backbone'"):
        build_model(cfg)


def test_order_of_the_tasks_is_that_of_their_names(data):
    for names in itertools.permutations(TASKS, 2):
        cfg = only(joint_config(data), *names)
        assert tuple(build_model(cfg).tasks) == tuple(sorted(names))
