"""Tasks that leave the tree at different cells have one pass, in which each cell is run once."""

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
from apis.rooms_deposits import IMAGES, pack_rooms, room_images, rooms_config
from apis.rooms_deposits import TASKS as ROOM_TASKS
from helpers import build_model, check_share_nothing
from mmengine.config import Config
from shared_images import (
    CLASSES,
    GROUP,
    TASKS,
    build,
    group_batch,
    k_passes,
    largest_difference,
    one_pass,
    optimizer_of,
    plan_of,
    segmentor,
)
from torch.nn.modules.module import register_module_forward_pre_hook

from mdl_nas_mm.apis import MultiTaskInferencer, SharedPass
from mdl_nas_mm.deposit import Deposit, agreeing_backbones, extract, load_around_one
from mdl_nas_mm.families import ElasticSwinUNet
from mdl_nas_mm.families.swin_unet import Skeleton, cells_of, restrict
from mdl_nas_mm.families.swin_unet.shape import module_of
from mdl_nas_mm.families.swin_unet.skeletons import CELLS as EVERY_CELL
from mdl_nas_mm.search.costs import FlopsCost
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks.pass_groups import check_tied, find_pass_groups, tied

SKELETONS = dict(seg=['d3.1'], parts=['e1', 'd2.1'], edges=['e2'])
CELLS = {'seg': 'e1 e2 e3 d3.2 d3.1', 'parts': 'e1 e2 d2.1', 'edges': 'e1 e2'}
WIDTHS = dict(seg=16, parts=16, edges=24)


def level(*widths):
    sizes = dict(depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), window_side=(2, 3))
    return dict(sizes, embed_dim=widths)


BACKBONE = dict(
    type='ElasticSwinUNet',
    space=[level(8, 16), level(16, 24), level(24, 32), level(32)],
    head_dim=8,
    skeletons=SKELETONS,
    tasks=TASKS,
)


def config(**changes):
    heads = {task: segmentor(CLASSES[task], width) for task, width in WIDTHS.items()}
    return dict(
        type='MultiTaskModel',
        backbone=dict(BACKBONE, **changes),
        tasks={task: dict(scope='mmseg', model=model) for task, model in heads.items()},
    )


@torch.no_grad()
def test_a_cell_behind_another_one_is_run_by_itself():
    """Of two trees that differ in their first cell alone."""
    torch.manual_seed(0)
    tree = ElasticSwinUNet(**{k: v for k, v in BACKBONE.items() if k != 'type'}).eval()
    wide, narrow = tree.space.largest(), tree.space.smallest().stages[0]
    specs = [wide, replace(wide, stages=(narrow, *wide.stages[1:]))]
    check_share_nothing(tree, 'edges', specs, torch.randn(1, 3, 32, 32))


@pytest.fixture
def run_cells():
    """How often each cell was run, of all trees: as often as its first block."""
    names = {f'{module_of(cell)}.blocks.0': cell for cell in EVERY_CELL}
    counts, cells = Counter(), {}

    def count(module, args):
        if isinstance(module, ElasticSwinUNet):
            of_tree = dict(module.named_modules())
            cells.update((of_tree[name], names[name]) for name in names if name in of_tree)
        elif module in cells:
            counts[cells[module]] += 1

    hook = register_module_forward_pre_hook(count)
    yield counts
    hook.remove()


@pytest.mark.parametrize('skip', [False, True], ids=['no skips', 'skips'])
@pytest.mark.parametrize('missing', [False, True], ids=['all labels', 'missing labels'])
def test_a_step_of_one_pass_is_that_of_a_pass_for_each_task(missing, skip, run_cells):
    ours = build(config(skip_connections=skip))
    theirs = copy.deepcopy(ours)
    optimizers = [optimizer_of(model) for model in (ours, theirs)]
    assert find_pass_groups({GROUP: TASKS}, BACKBONE, config()['tasks']).of == {GROUP: (TASKS,)}
    for step in range(3):
        run_cells.clear()
        batch = group_batch(step, 0, missing)
        passes = one_pass(ours, optimizers[0], step, plan_of((TASKS,)), {GROUP: [batch]})
        # Two subnets.
        assert set(run_cells.values()) == {2}
        expected = k_passes(theirs, optimizers[1], step, missing)
        for task, value in expected.items():
            assert float(passes.losses[f'{task}/loss']) == pytest.approx(value, abs=1e-9)
    assert set(run_cells) == set('e1 e2 e3 d3.2 d3.1 d2.1'.split())
    assert largest_difference(ours, theirs) < 1e-9


def test_architectures_of_the_tasks_own_cells_are_one_in_a_pass():
    model = build(config())
    whole = model.backbone.space.largest()
    own = {task: restrict(whole, cells.split()) for task, cells in CELLS.items()}
    assert {task: model.backbone.needed([task], whole) for task in TASKS} == own
    check_tied([TASKS], JointSpec(own))
    for task, specs in tied([TASKS], {t: [spec] for t, spec in own.items()}).items():
        assert specs == [whole], task
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    plains = model.subnets(own)
    for task, plain in plains.items():
        assert cells_of(plain.backbone.arch) == tuple(CELLS[task].split())
        for one, other in zip(plain.backbone(images), model.features(task, whole, images)):
            torch.testing.assert_close(one, other)
    # In memory once.
    entry = [plain.backbone.stages[0].blocks[0].mlp.fc1.weight for plain in plains.values()]
    assert entry[0] is entry[1] is entry[2]


def test_a_shared_pass_costs_the_union_of_its_cells():
    model = build(config())
    backbone, whole, size = model.backbone, model.backbone.space.largest(), (32, 32)
    loader = dict(dataset=dict(pipeline=[]))
    loaders = dict.fromkeys(TASKS, loader)

    def flops(pass_groups):
        cost = FlopsCost(backbone, lambda *_: 0, loaders, pass_groups, size)
        return cost.totals([JointSpec(dict.fromkeys(TASKS, whole))])[0]

    alone = {task: backbone.flops(task, whole, size) for task in TASKS}
    assert alone == {
        task: backbone.layout.flops(restrict(whole, cells.split()), size)
        for task, cells in CELLS.items()
    }
    assert flops([]) == sum(alone.values())
    cells = {cell for own in CELLS.values() for cell in own.split()}
    union = backbone.layout.flops(restrict(whole, cells), size)
    assert flops([TASKS]) == union < sum(alone.values())
    # All of them, as no cell of this tree is without a task.
    assert union == backbone.layout.flops(whole, size)


ROOMS = dict(seg=['d3.2'], depth=['e2'], normals=['d4.2'], edges=['d3.2'])


@pytest.fixture(scope='module')
def rooms(tmp_path_factory):
    """A deposit of four tasks, the folder of its images, and its supernet's config."""
    root = room_images(tmp_path_factory.mktemp('data'))
    cfg = rooms_config(root)
    sizes = dict(depth=(1, 2), mlp_ratio=2, window_side=(3, 4))
    widths = ((48, 3), (96, 6), (96, 6), (96, 6))
    levels = [dict(sizes, embed_dim=width, num_heads=heads) for width, heads in widths]
    cfg.backbone = dict(type='ElasticSwinUNet', space=levels, head_dim=16)
    for task, skeletons in ROOMS.items():
        cfg.tasks[task].backbone = dict(skeletons=skeletons)
    path = pack_rooms(tmp_path_factory.mktemp('deposit') / 'a.safetensors', cfg)
    return path, root, cfg


def test_a_deposit_has_just_the_cells_of_its_tasks(rooms):
    path, _, cfg = rooms
    deposit, backbone = Deposit(path), build_model(cfg).backbone
    ledger, whole = backbone.ledger(), backbone.space.largest()
    every = set()
    for task, (name,) in ROOMS.items():
        cells = Skeleton.parse(name).cells
        every |= set(cells)
        assert cells_of(deposit.joint[task]) == cells
        assert deposit.tasks[task]['params'] == ledger.params(restrict(whole, cells))
        model = deposit.load_task(task)
        assert cells_of(model.backbone.arch) == cells
    assert deposit.counts.shared == ledger.params(restrict(whole, every))
    assert agreeing_backbones(deposit) == [ROOM_TASKS]


@torch.no_grad()
def test_tasks_of_a_deposit_have_one_pass(rooms, run_cells):
    path, root, _ = rooms
    deposit, images = Deposit(path), torch.randn(2, 3, 64, 64)
    models = load_around_one(deposit, ROOM_TASKS)
    run_cells.clear()
    with SharedPass():
        together = {task: model.backbone(images) for task, model in models.items()}
    assert set(run_cells.values()) == {1}
    assert set(run_cells) == {c for (name,) in ROOMS.values() for c in Skeleton.parse(name).cells}
    for task, maps in together.items():
        for one, other in zip(maps, deposit.load_task(task).backbone(images), strict=True):
            assert torch.equal(one, other)
    sources = sorted(map(str, root.rglob('images/*.*g')))[:IMAGES]
    inferencer = MultiTaskInferencer(path)
    run_cells.clear()
    inferencer(sources)
    # One image after another.
    assert set(run_cells.values()) == {IMAGES}


def test_an_extracted_task_names_the_tree_and_has_just_its_cells(rooms, tmp_path):
    config = Config.fromfile(extract(rooms[0], 'edges', tmp_path))
    assert config.model.backbone.type.endswith('ElasticSwinUNet')
    state = torch.load(tmp_path / 'edges.pth', weights_only=True)
    state = state.get('state_dict', state)
    cells = {
        name.split('.blocks.')[0]
        for name in state
        if name.startswith('backbone.') and '.blocks.' in name
    }
    found = {f'backbone.{name}' for name in ('stages.0', 'stages.1', 'stages.2', 'decoders.d3_2')}
    assert cells == found
