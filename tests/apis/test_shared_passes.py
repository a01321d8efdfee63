"""Tasks out of a deposit share what they can: a backbone, a pass, the loading of an image."""

import mmcv
import numpy as np
import pytest
import torch
from apis.rooms_deposits import IMAGES, TASKS, pack_rooms, room_images, rooms_config
from deposit.hostile import altered, watched
from helpers import call_tool, differences, plain, read_json, refusal_of_tool
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import MMLogger
from refusals import assert_names

from mdl_nas_mm.apis import MultiTaskInferencer, SharedPass, evaluate_deposit, load_tasks
from mdl_nas_mm.deposit import (
    Deposit,
    load_around_one,
    one_pass,
    same_backbones,
    stored_pass_groups,
)
from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.header.contents import contents

KINDS = dict(ViT=ElasticViT, Swin=ElasticSwin)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return room_images(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def images(root):
    return sorted(map(str, root.rglob('images/*.*g')))[:IMAGES]


@pytest.fixture(scope='module')
def deposits(root, tmp_path_factory, quick_mmengine):
    """Kind of backbone -> a deposit of all tasks with one architecture."""
    folder = tmp_path_factory.mktemp('deposits')
    return {
        kind: pack_rooms(folder / f'{kind}.safetensors', rooms_config(root, kind)) for kind in KINDS
    }


@pytest.fixture(scope='module')
def mixed(root, tmp_path_factory, quick_mmengine):
    """One task has another architecture, one wants other colours."""
    cfg = rooms_config(root)
    cfg.tasks.edges.model = dict(data_preprocessor=dict(mean=[100.0] * 3))
    return pack_rooms(tmp_path_factory.mktemp('mixed') / 'a.safetensors', cfg, other=('depth',))


@pytest.fixture(scope='module')
def specific(root, tmp_path_factory, quick_mmengine):
    cfg = rooms_config(root, sharing='Sequential')
    return pack_rooms(tmp_path_factory.mktemp('specific') / 'a.safetensors', cfg)


@pytest.fixture
def passed(monkeypatch):
    """How many images each pass of a backbone has."""
    sizes = []

    def count(kind):
        forward = kind.forward_subnet

        def counting(self, x, *args):
            sizes.append(len(x))
            return forward(self, x, *args)

        monkeypatch.setattr(kind, 'forward_subnet', counting)

    for kind in KINDS.values():
        count(kind)
    return sizes


@pytest.fixture
def decoded(monkeypatch):
    """The images that pipelines load."""
    paths, load = [], LoadImageFromFile.transform

    def counting(self, results):
        paths.append(results['img_path'])
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', counting)
    return paths


def inferencer(path, tasks=None):
    return MultiTaskInferencer(path, tasks, 'cpu', show_progress=False)


def each_alone(path, images):
    """The answers of tasks that know of no other."""
    return {task: inferencer(path, [task])(images)[task]['predictions'] for task in TASKS}


def together(path, images, **settings):
    found = inferencer(path)(images, **settings)
    return {task: answers['predictions'] for task, answers in found.items()}


@pytest.mark.parametrize('kind', KINDS)
def test_one_pass_gives_what_each_task_gives_alone(deposits, images, passed, decoded, kind):
    path = deposits[kind]
    assert same_backbones(Deposit(path)) == one_pass(Deposit(path)) == [TASKS]
    found = together(path, images)
    assert passed == [1] * IMAGES and decoded == images
    assert differences(plain(found), plain(each_alone(path, images))) == []
    passed.clear()
    batch = together(path, images, batch_size=IMAGES)
    assert passed == [IMAGES]
    for task in TASKS:
        assert all(map(lambda a, b: np.allclose(a, b, atol=1e-4), batch[task], found[task]))


def test_weights_of_single_tasks_keep_a_pass_each(specific, images, passed, decoded):
    opened = Deposit(specific)
    assert same_backbones(opened) == one_pass(opened) == [(task,) for task in TASKS]
    found = together(specific, images[0])
    # They still load the image once.
    assert passed == [1] * len(TASKS) and decoded == images[:1]
    assert differences(plain(found), plain(each_alone(specific, images[0]))) == []


def test_a_deposit_of_which_some_tasks_share(mixed, images, passed, decoded):
    """A backbone may be one where a pass is not: it depends on what the tasks make of an image."""
    assert same_backbones(Deposit(mixed)) == [('depth',), ('edges', 'normals', 'seg')]
    assert one_pass(Deposit(mixed)) == [('depth',), ('edges',), ('normals', 'seg')]
    found = together(mixed, images[0])
    assert passed == [1] * 3 and decoded == images[:1]
    assert differences(plain(found), plain(each_alone(mixed, images[0]))) == []
    assert set(inferencer(mixed, ['edges', 'depth']).passes.pass_groups) == {('edges',), ('depth',)}


def test_what_a_file_says_of_its_images_is_no_reason(root, tmp_path, images, passed):
    """Tasks that were trained apart share a pass where they can, and those that cannot do not."""
    cfg = rooms_config(root)
    for task in cfg.tasks.values():
        task.pop('images')
    path = pack_rooms(tmp_path / 'apart', cfg)
    assert one_pass(Deposit(path)) == [TASKS]
    assert stored_pass_groups(Deposit(path)).of == {task: ((task,),) for task in TASKS}
    together(path, images[0])
    assert passed == [1]


def test_tasks_of_two_libraries_share_a_pass_of_equal_images(root, tmp_path, images, passed):
    """Each library prepares the image itself; what comes out is compared."""
    cfg = rooms_config(root)
    cfg.tasks = {'seg': cfg.tasks.seg, 'cls': classifier(root)}
    path = pack_rooms(tmp_path / 'a', cfg)
    assert one_pass(Deposit(path)) == [('cls',), ('seg',)]
    assert same_backbones(Deposit(path)) == [('cls', 'seg')]
    found = inferencer(path)(images[:2])
    assert passed == [1, 1]
    for task in ('seg', 'cls'):
        alone = inferencer(path, [task])(images[:2])[task]
        assert differences(plain(found[task]), plain(alone)) == []


def classifier(root):
    """A task of mmpretrain on the same maps."""
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CustomDataset',
            data_prefix=str(root / 'images'),
            with_label=False,
            metainfo=dict(classes=('a', 'b', 'c')),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        ),
    )
    return dict(
        scope='mmpretrain',
        score='accuracy/top1',
        model=dict(
            type='ImageClassifier',
            data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3, to_rgb=True, num_classes=3),
            backbone=dict(type='VisionTransformer'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=96),
        ),
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=dict(type='Accuracy'),
    )


def test_other_settings_and_other_pipelines(root, tmp_path):
    cfg = rooms_config(root)
    cfg.backbone.pop('out_indices'), cfg.backbone.pop('out_type')
    for task, blocks in dict(seg=(-1,), depth=[-1], normals=(0,), edges=(-1,)).items():
        cfg.tasks[task].backbone = dict(out_type='featmap', out_indices=blocks)
    for task in cfg.tasks.values():
        task.pop('images')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(type='mdl_nas_mm.SceneResize', scale=(96, 64)),
        dict(type='mdl_nas_mm.PackScene'),
    ]
    cfg.tasks.edges.val_dataloader = dict(
        batch_size=2, dataset=dict(data_root=str(root), pipeline=pipeline)
    )
    opened = Deposit(pack_rooms(tmp_path / 'a', cfg))
    assert same_backbones(opened) == [('depth', 'edges', 'seg'), ('normals',)]
    assert one_pass(opened) == [('depth', 'seg'), ('edges',), ('normals',)]


@torch.no_grad()
@pytest.mark.parametrize('load', ['weights in memory once', 'weights ready to use'])
@pytest.mark.parametrize('name', ['ViT', 'Swin', 'mixed'])
def test_models_around_one_backbone(deposits, mixed, load, name, passed):
    path = dict(deposits, mixed=mixed)[name]
    opened = Deposit(path)
    if load == 'weights in memory once':
        models = load_tasks(path)
    else:
        models = load_around_one(opened, TASKS)
    assert list(models) == list(TASKS)
    pass_groups, images = same_backbones(opened), torch.randn(2, 3, 96, 128)
    for group in pass_groups:
        assert len({id(models[task].backbone) for task in group}) == 1
        passed.clear()
        with SharedPass():
            features = {task: models[task].backbone(images) for task in group}
        assert passed == [2]
        for task in group:
            expected = opened.load_task(task).backbone(images)
            assert all(map(torch.equal, features[task], expected))
    weights = {id(p): p for model in models.values() for p in model.backbone.parameters()}
    if name != 'mixed':
        whole = next(iter(opened.counts.backbones.values()))
        assert sum(p.numel() for p in weights.values()) == whole


def test_evaluation_loads_once_and_has_one_pass(deposits, mixed, passed, decoded):
    for path, passes in ((deposits['ViT'], 1), (mixed, 3)):
        passed.clear(), decoded.clear()
        found = evaluate_deposit(path)
        # One image is looked at before anything begins.
        assert len(decoded) - 1 == IMAGES == len(set(decoded))
        assert sum(passed) == passes * IMAGES
        for task in TASKS:
            assert differences(found[task], evaluate_deposit(path, [task])[task]) == []


def test_the_tool_names_and_tests_them(deposits, mixed, specific, monkeypatch, capsys, passed):
    def said(*args):
        call_tool(monkeypatch, 'deposit', *args)
        return [
            line for line in capsys.readouterr().out.splitlines() if line.startswith('one pass')
        ]

    assert said('verify', deposits['ViT']) == ['one pass: depth, edges, normals, seg']
    assert said('verify', mixed) == ['one pass: normals, seg']
    assert said('verify', specific) == []
    # Upstream's tables go to the current logger, such as the last runner's.
    MMLogger.get_instance(__name__)
    call_tool(monkeypatch, 'deposit', 'test', deposits['ViT'])
    assert sum(passed) == IMAGES
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in lines] == list(TASKS)


@pytest.mark.parametrize(
    'change',
    [
        lambda info: info['model']['data_preprocessor'].update(type='os.system'),
        lambda info: info['model']['decode_head'].update(type='subprocess.Popen'),
        lambda info: info['val_dataloader']['dataset']['pipeline'].insert(
            0, dict(type='os.system')
        ),
        lambda info: info['val_dataloader']['dataset'].update(pipeline=[3]),
    ],
)
def test_a_task_that_is_refused_shares_nothing(deposits, tmp_path, change):
    """A stranger's file is listed, the others share a pass, and nothing of it is run."""
    path = altered(
        deposits['ViT'], tmp_path / 'a.safetensors', lambda m: change(m['tasks']['depth'])
    )
    with watched() as seen:
        assert ('edges', 'normals', 'seg') in one_pass(Deposit(path))
        assert any(line.startswith('depth ') for line in contents(path))
    assert not seen


def test_predictions_are_arrays_and_files(deposits, images, tmp_path):
    found = inferencer(deposits['ViT'])(images[0], return_vis=True, out_dir=tmp_path)
    height, width = mmcv.imread(images[0]).shape[:2]
    shapes = dict(seg=(height, width), depth=(height, width), normals=(height, width, 3))
    name = images[0].rsplit('/', 1)[1].rpartition('.')[0]
    kinds = dict(seg='sem_seg', depth='depth_map', normals='normals', edges='edges')
    for task, kind in kinds.items():
        (values,), (drawing,) = found[task]['predictions'], found[task]['visualization']
        assert values.shape == shapes.get(task, (height, width))
        assert drawing.shape == (height, width, 3) and drawing.dtype == np.uint8
        file = tmp_path / 'preds' / task / read_json(tmp_path / f'preds/{task}/{name}.json')[kind]
        written = mmcv.imread(file, 'unchanged') if task == 'seg' else np.load(file)
        assert (written == values).all()
    assert np.allclose(np.linalg.norm(found['normals']['predictions'][0], axis=-1), 1, atol=1e-3)
    assert len(list((tmp_path / 'vis').glob('*/*'))) == len(TASKS)


def test_a_model_that_writes_into_features_does_not_spoil_those_of_others(deposits, images):
    """As a head with an activation in place does."""
    tasks = inferencer(deposits['ViT'])
    expected = tasks(images[0])
    model = tasks.passes.inferencers['depth'].upstream.model
    head = model.decode_head
    head.register_forward_pre_hook(lambda _, given: [x.zero_() for x in given[0]] and None)
    found = tasks(images[0])
    for task in ('seg', 'normals', 'edges'):
        assert differences(plain(found[task]), plain(expected[task])) == []


def test_refusals_are_one_line(deposits, monkeypatch, tmp_path):
    message = refusal_of_tool(monkeypatch, 'infer', deposits['ViT'], tmp_path / 'gone.mp4')
    assert_names(message, 'error: ', 'gone.mp4')
    with pytest.raises(ValueError, match='flow'):
        load_around_one(Deposit(deposits['ViT']), ['seg', 'flow'])
