"""Stage 1: the chosen skeletons as a supernet of their own, and what becomes of it."""

import json
import random
from types import SimpleNamespace

import pytest
import torch
from helpers import build_runner, call_tool, predict, read_json, refusal_of_tool
from image_group import joint_config, write_images
from methods.autotaskformer.encoder_tree import with_heads
from mmengine.config import Config
from refusals import assert_names, raises_naming
from shared_images import IMAGES, own_batch, segmentor

from mdl_nas_mm.apis import load_task
from mdl_nas_mm.deposit import extract
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.families.swin_unet import SKELETONS, Skeleton
from mdl_nas_mm.families.swin_unet.dimensions import cells_of, restrict
from mdl_nas_mm.methods.autotaskformer import validate
from mdl_nas_mm.methods.autotaskformer.choice import SkeletonChoice
from mdl_nas_mm.methods.autotaskformer.heads import weighing
from mdl_nas_mm.search import run_search
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.pass_groups import pass_groups_of
from mdl_nas_mm.utils.torch_file import write_torch_file

WIDTHS = (8, 12, 16, 16)
NAMES = [each.name for each in SKELETONS['single-scale']]
CHOSEN = dict(seg='d3.1', parts='e2', alone='e4')
UNION = ('e1', 'e2', 'e3', 'e4', 'd3.2', 'd3.1')


def tree(root):
    """Two segmentations on the same images and one alone, behind any of ten cells."""
    cfg = joint_config(write_images(root))
    cfg.backbone = dict(
        type='ElasticSwinUNet',
        space=[
            dict(embed_dim=(w // 2, w), depth=(1, 2), num_heads=1, mlp_ratio=1, window_side=2)
            for w in WIDTHS
        ],
        sharing='AllShared',
        head_dim=4,
    )
    for task in cfg.tasks.values():
        model = with_heads(segmentor(7), NAMES)
        model['decode_head'].update(in_channels=WIDTHS, skeletons='single-scale')
        task.model = model
    cfg.train_cfg.update(
        max_iters=1,
        step=dict(
            type='AutoTaskFormerStep',
            temperature=dict(steps=1),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        ),
    )
    cfg.default_hooks.checkpoint.update(interval=1)
    cfg.search_cfg = dict(
        budget='1G',
        evolution=dict(population=2, generations=2, parents=1, crossovers=0, mutations=1),
    )
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory, quick_mmengine):
    """The config's file and a checkpoint whose logits prefer what is ``CHOSEN``."""
    root = tmp_path_factory.mktemp('tree')
    cfg = tree(root / 'data')
    cfg.dump(root / 'tree.py')
    build_runner(cfg, root / 'work').train()
    checkpoint = read_checkpoint(root / 'work' / 'iter_1.pth')
    for task, name in CHOSEN.items():
        checkpoint['state_dict'][f'tasks.{task}.decode_head.chosen'].fill_(NAMES.index(name))
        checkpoint['method']['step'][f'skeletons.{task}.logits'][NAMES.index(name)] = 3.0
    write_torch_file(root / 'tree.pth', checkpoint)
    return root


@pytest.fixture
def chosen(trained, tmp_path, monkeypatch):
    """The folder that the command has written."""
    given = (trained / 'tree.py', '--checkpoint', trained / 'tree.pth', '--out', tmp_path / 'out')
    call_tool(monkeypatch, 'skeletons', *given)
    return tmp_path / 'out'


def supernet(folder):
    cfg = resolve_joint_config(Config.fromfile(folder / 'config.py'))
    return cfg, load_supernet(cfg, folder / 'supernet.pth')


def batch_of(model, task):
    return model.preprocess(task, own_batch('seg', 0, 0, range(IMAGES)))


def test_the_union_is_that_of_the_paths():
    """1,000 random choices of some tasks, enumerated cell by cell."""
    every, rng = [s for own in SKELETONS.values() for s in own], random.Random(0)
    before = {'e2': 'e1', 'e3': 'e2', 'e4': 'e3', 'd2.1': 'e2', 'd3.2': 'e3', 'd3.1': 'd3.2'}
    before |= {'d4.3': 'e4', 'd4.2': 'd4.3', 'd4.1': 'd4.2'}
    for _ in range(1000):
        picked = {f't{i}': rng.choice(every) for i in range(rng.randint(1, 16))}
        whose = {}
        for task, skeleton in picked.items():
            for cell in skeleton.outputs:
                while cell:
                    whose.setdefault(cell, set()).add(task)
                    cell = before.get(cell)
        choice = SkeletonChoice(picked)
        assert set(choice.cells) == set(whose)
        assert all(set(choice.tasks_of(cell)) == whose[cell] for cell in choice.cells)


def test_what_the_command_says(chosen, capsys):
    said = read_json(chosen / 'skeletons.json')
    assert said['skeletons'] == CHOSEN and set(said['cells']) == set(UNION)
    assert set(said['cells']['e3']) == {'seg', 'alone'} and said['cells']['d3.1'] == ['seg']
    assert said['probabilities']['seg']['d3.1'] == pytest.approx(
        max(said['probabilities']['seg'].values())
    )
    lines = SkeletonChoice({t: Skeleton.parse(n) for t, n in CHOSEN.items()}).lines()
    assert 'alone  e4' in lines and 'd3.1  seg' in lines
    assert (chosen / 'skeletons.png').read_bytes()[:4] == b'\x89PNG'


def test_the_new_supernet_computes_what_the_old_did(trained, chosen):
    old = resolve_joint_config(Config.fromfile(trained / 'tree.py'))
    old = load_supernet(old, trained / 'tree.pth')
    cfg, new = supernet(chosen)
    assert [set(group) for group in pass_groups_of(cfg).shared] == [{'seg', 'parts'}]
    whole = old.spaces['seg'].sample(random.Random(0))
    spec = restrict(whole, UNION)
    assert cells_of(new.spaces['seg'].largest()) == UNION
    for task, name in CHOSEN.items():
        with weighing({name: torch.ones(())}):
            expected = old.loss(task, whole, batch_of(old, task))[0]
        assert torch.equal(new.loss(task, spec, batch_of(new, task))[0], expected)
        assert type(new.tasks[task].decode_head).__name__ == 'FCNHead'
    sizes = [sum(p.numel() for p in m.parameters()) for m in (new, old)]
    assert sizes[0] < 0.6 * sizes[1]


def test_it_is_searched_deposited_and_cut_to_some_tasks(trained, chosen, tmp_path, monkeypatch):
    cfg, model = supernet(chosen)
    result = run_search(cfg, chosen / 'supernet.pth', tmp_path / 'search')
    joint, found = result.chosen.joint, tmp_path / 'search' / 'joint_spec.json'
    assert joint['seg'] == joint['parts'] and cells_of(joint['seg']) == UNION
    deposit = tmp_path / 'tasks.safetensors'
    given = ('--checkpoint', chosen / 'supernet.pth', '--joint-spec', found)
    call_tool(monkeypatch, 'deposit', 'pack', chosen / 'config.py', *given, '--out', deposit)
    data = own_batch('seg', 0, 0, range(IMAGES))
    expected = {task: predict(model, task, joint[task], data) for task in CHOSEN}
    for task, name in CHOSEN.items():
        plain = load_task(deposit, task)
        assert cells_of(plain.backbone.arch) == Skeleton.parse(name).cells
        same_answers(plain.test_step(data), expected[task])
    some = tmp_path / 'some'
    given = ('--checkpoint', trained / 'tree.pth', '--tasks', 'parts', '--joint-spec', found)
    call_tool(monkeypatch, 'skeletons', trained / 'tree.py', *given, '--out', some)
    own_cfg, own = supernet(some)
    assert list(own_cfg.tasks) == ['parts']
    given = ('--checkpoint', some / 'supernet.pth', '--joint-spec', some / 'joint_spec.json')
    alone = tmp_path / 'parts.safetensors'
    call_tool(monkeypatch, 'deposit', 'pack', some / 'config.py', *given, '--out', alone)
    task = load_task(alone, 'parts')
    assert cells_of(task.backbone.arch) == ('e1', 'e2')
    same_answers(task.test_step(data), expected['parts'])
    assert type(task.decode_head).__name__ == 'FCNHead'
    assert extract(alone, 'parts', tmp_path / 'extracted', False)


def same_answers(first, second):
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.seg_logits.data, b.seg_logits.data)


def test_uniform_sampling_is_decided_by_a_validation(trained, tmp_path, monkeypatch):
    given = (trained / 'tree.py', '--checkpoint', trained / 'tree.pth', '--out', tmp_path)
    call_tool(monkeypatch, 'skeletons', *given, '--validate', '--tasks', 'seg', 'parts')
    said = read_json(tmp_path / 'skeletons.json')
    assert set(said['scores']) == {'seg', 'parts'} and not said['probabilities']
    for task, name in said['skeletons'].items():
        assert said['scores'][task][name] == max(said['scores'][task].values())


def test_it_is_counted_without_memory(trained, monkeypatch, capsys):
    """The head that answers is then the one that the config says."""
    sizes = (f'{task}=32' for task in CHOSEN)
    call_tool(monkeypatch, 'analyze', trained / 'tree.py', '--json', '--input-size', *sizes)
    tasks = json.loads(capsys.readouterr().out)['tasks']
    assert set(tasks) == set(CHOSEN) and all(task['flops'] > 0 for task in tasks.values())


def test_architectures_of_other_tasks_are_refused_before_anything_is_written(
    trained, tmp_path, monkeypatch
):
    cfg = resolve_joint_config(Config.fromfile(trained / 'tree.py'))
    spec = load_supernet(cfg, trained / 'tree.pth').backbone.space.largest().to_dict()
    (tmp_path / 'joint.json').write_text(json.dumps(dict(seg=spec, parts=spec)))
    given = ('--checkpoint', trained / 'tree.pth', '--joint-spec', tmp_path / 'joint.json')
    message = refusal_of_tool(
        monkeypatch, 'skeletons', trained / 'tree.py', *given, '--out', tmp_path / 'out'
    )
    assert_names(message, "'alone'", 'joint')
    assert not (tmp_path / 'out').exists()


def test_skeletons_are_validated_on_something(monkeypatch):
    monkeypatch.setattr(validate, 'skeletons_of', lambda cfg: dict(seg=()))
    tasks = dict(seg=SimpleNamespace(search=None, val=None))
    cfg = SimpleNamespace(tasks=tasks, get=lambda key, default: default)
    model = SimpleNamespace(tasks=dict(seg=SimpleNamespace(decode_head=None)))
    with raises_naming(ValueError, "'seg'", 'val_dataloader'):
        validate.best_validated(cfg, model)


def test_what_was_not_learned_is_not_chosen(trained, tmp_path, monkeypatch):
    """A checkpoint of uniform sampling, unless the config says which skeleton answers."""
    checkpoint = read_checkpoint(trained / 'tree.pth')
    checkpoint.pop('method')
    write_torch_file(tmp_path / 'uniform.pth', checkpoint)
    given = ('--checkpoint', tmp_path / 'uniform.pth', '--out', tmp_path / 'out')
    message = refusal_of_tool(monkeypatch, 'skeletons', trained / 'tree.py', *given)
    assert_names(message, 'uniform.pth', "'alone'", 10, '--validate')
    cfg = Config.fromfile(trained / 'tree.py')
    for task, name in CHOSEN.items():
        cfg.tasks[task].model.decode_head.chosen = name
    cfg.dump(tmp_path / 'said.py')
    call_tool(monkeypatch, 'skeletons', tmp_path / 'said.py', *given)
    assert read_json(tmp_path / 'out' / 'skeletons.json')['skeletons'] == CHOSEN


def test_what_was_left_out_has_no_probability(trained):
    """The others' add up to 1."""
    checkpoint = read_checkpoint(trained / 'tree.pth')
    out = next(i for i, name in enumerate(NAMES) if name != CHOSEN['alone'])
    checkpoint['method']['step']['skeletons.alone.left'][out] = False
    cfg = resolve_joint_config(Config.fromfile(trained / 'tree.py'))
    found = SkeletonChoice.read(cfg, 'tree.pth', checkpoint).probabilities
    assert found['alone'][NAMES[out]] == 0 < found['seg'][NAMES[out]]
    for task in CHOSEN:
        assert sum(found[task].values()) == pytest.approx(1)


def test_a_skeleton_that_is_not_there(trained, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(trained / 'tree.pth')
    key = next(key for key in checkpoint['state_dict'] if key.endswith('decode_head.chosen'))
    checkpoint['state_dict'][key].fill_(24)
    write_torch_file(tmp_path / 'other.pth', checkpoint)
    given = ('--checkpoint', tmp_path / 'other.pth', '--out', tmp_path / 'out')
    message = refusal_of_tool(monkeypatch, 'skeletons', trained / 'tree.py', *given)
    assert_names(message, 'other.pth', key, 24)


def test_what_does_not_fit(trained, tmp_path, monkeypatch):
    given = (trained / 'tree.py', '--checkpoint', trained / 'tree.pth', '--out', tmp_path)
    assert "'sag'" in refusal_of_tool(monkeypatch, 'skeletons', *given, '--tasks', 'sag')
    cfg = Config.fromfile(trained / 'tree.py')
    cfg.tasks.parts.model = segmentor(7)
    cfg.dump(tmp_path / 'plain.py')
    given = (tmp_path / 'plain.py', '--checkpoint', trained / 'tree.pth')
    message = refusal_of_tool(monkeypatch, 'skeletons', *given)
    assert "'parts'" in message and 'SkeletonHeads' in message
