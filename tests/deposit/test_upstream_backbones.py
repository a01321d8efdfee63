"""Tasks around one backbone of upstream's, from a training to a file and out of it again."""

import pytest
import torch
from deposit.hostile import altered
from helpers import build_runner, differences, plain
from image_group import joint_config, write_images
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from refusals import raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer, add_to_deposit, load_tasks, save_deposit
from mdl_nas_mm.deposit import Deposit, largest_differences, one_pass, remove, verify
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.elastic.plain import statistics_of
from mdl_nas_mm.families import UpstreamBackbone
from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

MODULE = dict(
    type='mmpretrain.ResNet',
    depth=18,
    base_channels=8,
    stem_channels=8,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1,),
    norm_cfg=dict(type='BN'),
    init_cfg=dict(type='Kaiming', layer='Conv2d'),
)
TASKS = ('seg', 'parts', 'alone')
DEEP = dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[3000, 1], channels=[8, 8]))


def configured(root):
    cfg = joint_config(root)
    cfg.backbone = dict(type='UpstreamBackbone', space='whole', module=MODULE)
    for task in cfg.tasks.values():
        task.model.decode_head.update(in_channels=16, in_index=0)
    return cfg


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture(scope='module')
def trained(root, tmp_path_factory, quick_mmengine):
    """A resolved config, its checkpoint, and the model that was trained."""
    folder = tmp_path_factory.mktemp('trained')
    runner = build_runner(configured(root), folder)
    model = runner.train()
    return resolve_joint_config(configured(root)), folder / 'iter_4.pth', model.eval()


@pytest.fixture(scope='module')
def deposit(trained, tmp_path_factory):
    cfg, checkpoint, model = trained
    path = tmp_path_factory.mktemp('deposit') / 'a.safetensors'
    space = model.backbone.space
    save_deposit(cfg, checkpoint, JointSpec(dict.fromkeys(TASKS, space.largest())), path)
    return path


def images():
    return torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def answer(model):
    with torch.no_grad():
        return model(images(), mode='tensor')


def test_tasks_answer_as_they_were_trained(trained, deposit):
    _, _, model = trained
    assert all(verify(deposit).values())
    together, opened = load_tasks(deposit), Deposit(deposit)
    norms = {k: v for k, v in statistics_of(model.backbone).items() if k.endswith('running_mean')}
    assert any(value.abs().sum() > 0 for value in norms.values())
    for task in TASKS:
        with torch.no_grad():
            expected = model.tasks[task].decode_head(model.backbone(images()))
        for found in (opened.load_task(task), together[task]):
            assert torch.equal(answer(found), expected), task
    assert all(any(task in line for line in contents(deposit)) for task in TASKS)


def test_where_weights_came_from_is_not_in_the_file(deposit):
    module = Deposit(deposit).manifest['backbone']['module']
    assert module == {key: value for key, value in MODULE.items() if key != 'init_cfg'}


def test_tasks_of_an_image_have_one_pass(root, deposit, monkeypatch):
    assert one_pass(Deposit(deposit))[0][:2] == ('seg', 'parts')
    passes, forward = [], UpstreamBackbone.forward_subnet

    def counting(self, x, *args):
        passes.append(len(x))
        return forward(self, x, *args)

    monkeypatch.setattr(UpstreamBackbone, 'forward_subnet', counting)
    image = str(root / 'images' / '0.png')
    found = MultiTaskInferencer(deposit, TASKS[:2], 'cpu', show_progress=False)(image)
    assert passes == [1]
    for task in TASKS[:2]:
        alone = MultiTaskInferencer(deposit, [task], 'cpu', show_progress=False)(image)
        assert differences(plain(found[task]), plain(alone[task])) == []


def test_an_extracted_task_is_upstreams_alone(deposit, tmp_path):
    config = extract(deposit, 'seg', tmp_path, stock=True)
    text = (tmp_path / 'seg_config.py').read_text()
    assert 'mdl_nas_mm.' not in text and "type='mmpretrain.ResNet'" in text
    cfg = Config.fromfile(config)
    with task_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')
    assert torch.equal(answer(model), answer(Deposit(deposit).load_task('seg')))
    assert extract(deposit, 'parts', tmp_path, stock=False)


def test_a_task_is_added_and_removed(root, deposit, tmp_path):
    """Its backbone starts from the deposit's, statistics of norms included, and stays so."""
    path = tmp_path / 'b.safetensors'
    path.write_bytes(deposit.read_bytes())
    cfg = configured(root)
    cfg.base, cfg.inherit = str(path), 'seg'
    cfg.pop('backbone')
    cfg.tasks = dict(later=cfg.tasks.alone)
    build_runner(cfg, tmp_path / 'work').train()
    cfg, joint = resolve_joint_config(cfg), JointSpec(dict(later=Deposit(path).joint['seg']))
    add_to_deposit(cfg, tmp_path / 'work' / 'iter_4.pth', joint, path)
    assert largest_differences(deposit, path) == dict.fromkeys(TASKS, 0.0)
    opened = Deposit(path)
    theirs, ours = opened.backbone_weights('seg'), opened.backbone_weights('later')
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for task in ('seg', 'later'):
        remove(path, task)
    assert set(largest_differences(path, deposit)) == {'parts', 'alone'}


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(base_channels=60_000), ('rows',)),
        (DEEP, ('modules',)),
        (dict(DEEP, arch=dict(depths=[60_000, 1], channels=[8, 8])), ()),
        (dict(type='mmpretrain.TIMMBackbone', model_name='x'), ('TIMMBackbone', 'fetches')),
        (dict(type='torch.nn.Linear'), ('torch',)),
        (dict(init_cfg=dict(type='Pretrained', checkpoint='x.pth')), ('PretrainedInit', 'loads')),
        (dict(norm_cfg=dict(type='eval')), ('eval', 'mmpretrain')),
    ],
)
def test_a_file_names_no_other_and_no_larger_backbone(deposit, tmp_path, changes, named):
    def change(manifest):
        module = manifest['backbone']['module']
        manifest['backbone']['module'] = dict(changes) if 'arch' in changes else module | changes

    path = altered(deposit, tmp_path / 'x.safetensors', change)
    with raises_naming(ValueError, str(path), *named):
        Deposit(path).load_task('seg')
