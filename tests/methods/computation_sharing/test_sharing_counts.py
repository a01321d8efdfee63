"""What is said to be computed is what is computed, and what the paper counts."""

import pytest
import torch
from refusals import raises_naming
from sharing_models import moving_patch, sub_task, swin, vit
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.methods.computation_sharing import linear_layers
from mdl_nas_mm.methods.computation_sharing.running import (
    Density,
    SharedComputation,
    SharingSettings,
    Work,
    boundary,
    by_task,
    measure_densities,
    totals,
)
from mdl_nas_mm.scenes.models.convnext_head import ConvNeXtHead

# Without relative positions: their small tables are not counted.
BUILDERS = dict(
    ViT=lambda: vit(max_relative_position=0),
    windows=lambda: vit(max_relative_position=0, window_size=2),
    Swin=swin,
)


class _Products(TorchDispatchMode):
    """Multiply-adds of all matrix products and attentions, counted where torch executes them."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition('.')[0]
        if name in ('mm', 'bmm'):
            self.count += args[0].numel() * args[1].shape[-1]
        elif name in ('addmm', 'baddbmm'):
            self.count += args[1].numel() * args[2].shape[-1]
        elif name.startswith('_scaled_dot_product'):
            self.count += 2 * args[0].numel() * args[1].shape[-2]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('attention', ['exact', 'queries'])
@pytest.mark.parametrize('execution', ['rows', 'elements'])
@pytest.mark.parametrize('build', BUILDERS)
@torch.no_grad()
def test_executed_is_a_literal_count(build, execution, attention):
    base = BUILDERS[build]()
    tasks = dict(a=base, b=sub_task(base, 1, first=1), c=sub_task(base, 2, first=2))
    settings = SharingSettings('both', execution, threshold=0.3, attention=attention)
    model, state = SharedComputation('a', tasks, settings), None
    model.fit_gates(moving_patch(1)[0])
    for frame in moving_patch(4):
        with _Products() as products:
            _, state = model(frame, state)
        # Images become rows by a convolution; merging is a product and counted.
        assert totals(state.work).executed == products.count


@pytest.mark.parametrize('size', [(32, 32), (64, 48)])
@pytest.mark.parametrize('build', BUILDERS)
def test_whole_is_what_the_layout_counts(build, size):
    """In closed form, and without padding of windows, which the layout counts as rows."""
    backbone = BUILDERS[build]() if build != 'Swin' else swin(window_size=2)
    model = SharedComputation('a', dict(a=backbone), SharingSettings('none'))
    images = torch.rand(1, 3, *size, dtype=torch.float64)
    counted = totals(model(images)[1].work).whole
    embedding = backbone.patch_embed.proj
    patches = backbone.shape.patches(size) if build != 'Swin' else backbone.shape.maps(size)[0]
    counted += patches[0] * patches[1] * embedding.weight.numel()
    assert counted == backbone.flops(None, backbone.arch, size)


def work(source, w=0.0, a=1.0, whole=1000, part='x'):
    return Work('b', part, source, w, a, whole, 0, 10)


def test_the_paper_counts_differences_by_their_densities():
    """Section 3.3: (S_w + S_a1) P D^2 from the base, S_a2 P D^2 from the frame before."""
    assert work('base', w=0.1, a=0.25).counted == pytest.approx(350)
    assert work('frame', w=0.1, a=0.25).counted == pytest.approx(250)
    assert work('plain', w=0.1).counted == 1000
    # Products of queries, keys and values are dense in the paper.
    assert work('frame', part='blocks.0.attention', a=0.25).counted == 1000


@torch.no_grad()
def test_densities_are_those_of_the_differences():
    base = vit()
    sub = sub_task(base, first=0, density=0.3)
    model = SharedComputation('a', dict(a=base, b=sub), SharingSettings('tasks', 'elements'))
    found = {each.part: each for each in model(moving_patch(1)[0])[1].work if each.task == 'b'}
    first = found['blocks.0.attn.qkv']
    weights = (each.get_parameter('blocks.0.attn.qkv.weight') for each in (base, sub))
    different = torch.ne(*weights).double().mean()
    assert first.weight_density == pytest.approx(float(different), abs=1e-12)
    # Nothing has differed in front of it.
    assert first.density == 0 and found['blocks.0.attn.proj'].density == 1
    assert by_task(found.values())['b'].counted == pytest.approx(
        sum(each.counted for each in found.values())
    )


def collected(backbone, images):
    """Name of each linear layer in the blocks -> the rows (R, C) that hooks see it being given."""
    found = {}
    handles = [
        layer.register_forward_pre_hook(
            lambda _, args, name=name: found.update({name: args[0].flatten(0, -2)})
        )
        for name, layer in linear_layers(backbone).items()
    ]
    backbone(images)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize('reuse', ['tasks', 'frames'])
@pytest.mark.parametrize('build', BUILDERS)
@torch.no_grad()
def test_counted_is_a_literal_count_by_hooks(build, reuse):
    """Of the separate models: (S_w + S_a1) of each layer's products, or S_a2 of them."""
    base = BUILDERS[build]()
    tasks, frames = dict(a=base, b=sub_task(base, 1, first=1)), moving_patch(2)
    settings = SharingSettings(reuse, 'elements', moved=1.0)
    model, state = SharedComputation('a', tasks, settings), None
    for frame in frames:
        _, state = model(frame, state)
    ours = collected(tasks['b'], frames[1])
    theirs = collected(*((base, frames[1]) if reuse == 'tasks' else (tasks['b'], frames[0])))
    expected = 0.0
    for name, layer in linear_layers(tasks['b']).items():
        weight, rows = layer.weight, ours[name]
        density = float((rows != theirs[name]).double().mean())
        if reuse == 'tasks':
            other = base.get_parameter(f'{name}.weight')
            density += float((weight != other).double().mean())
        expected += density * len(rows) * weight.numel()
    inside = {*linear_layers(base)}
    counted = sum(each.counted for each in state.work if each.task == 'b' and each.part in inside)
    assert counted == pytest.approx(expected, rel=1e-3)


def test_the_boundary_is_where_the_sum_is_least():
    def of(*pairs):
        return [Density(f'{i}', 100, 0.1, a, b) for i, (a, b) in enumerate(pairs)]

    assert boundary(of((0.0, 0.5), (0.1, 0.5), (0.8, 0.3), (0.9, 0.3))) == 2
    assert boundary(of((0.9, 0.3), (0.0, 0.1))) == 0
    assert boundary(of((0.0, 0.5), (0.5, 0.4), (0.0, 0.9))) == 3
    # What the weights differ by counts as well, and a large layer more than a small one.
    assert boundary(of((0.2, 0.25))) == 0 and boundary(of((0.2, 0.35))) == 1
    small, large = (Density('', n, 0.0, a, 0.4) for n, a in ((100, 0.5), (1000, 0.3)))
    assert boundary([small, large]) == 2


def test_densities_of_a_video_are_measured_with_the_thresholds():
    base = vit()
    tasks, frames = dict(a=base, b=sub_task(base, first=1)), moving_patch(3)
    exact, coarse = (
        measure_densities(SharedComputation('a', tasks, SharingSettings(threshold=t)), frames)['b']
        for t in (0.0, 0.3)
    )
    assert [each.layer for each in exact] == list(linear_layers(base))
    assert all(each.weight == 0 and each.task == 0 for each in exact[:4])
    assert all(each.weight > 0.2 for each in exact[4:])
    # Of 16 patches and a class token one changes, or two.
    assert 1 / 17 <= exact[0].frame <= 2 / 17 and exact[-1].frame == 1
    for key in ('task', 'frame'):
        pairs = [(getattr(a, key), getattr(b, key)) for a, b in zip(exact, coarse)]
        assert all(b <= a for a, b in pairs) and any(b < a for a, b in pairs)
    with raises_naming(ValueError, 1):
        measure_densities(SharedComputation('a', tasks), frames[:1])


# Table 2: side of the image in pixels; G of multiply-adds of the base, and of a sub-task alone
# and shared; millions of parameters of all tasks, and how many they are.
TABLE_2 = {
    'PASCAL-Context': (512, 120.53, 116.15, 43.76, 438.02, 5),
    'NYUD-v2': (416, 75.20, 79.64, 37.22, 366.64, 4),
}


def vit_b(side):
    with torch.device('meta'):
        return ElasticViT(
            space=dict(embed_dim=768, depth=12, num_heads=12, mlp_ratio=4),
            img_size=side,
            max_relative_position=0,
        )


@pytest.mark.parametrize('name', TABLE_2)
@torch.no_grad()
def test_the_base_task_of_table_2(name):
    """ViT-B and the head of the published code, 3072 wide; within one per cent."""
    side, base, *_ = TABLE_2[name]
    backbone = vit_b(side)
    head = ConvNeXtHead(in_channels=768, in_index=0, channels=3072, num_classes=21).eval()
    with FlopCounterMode(display=False) as counter:
        head([torch.zeros(1, 768, side // 16, side // 16)])
    whole = backbone.flops(None, backbone.arch, (side, side)) + counter.get_total_flops() / 2
    assert whole / 1e9 == pytest.approx(base, rel=0.01)


@pytest.mark.parametrize(('name', 'density'), [('PASCAL-Context', 0.17), ('NYUD-v2', 0.26)])
def test_the_sub_tasks_of_table_2(name, density):
    """Their heads are what a task alone has more than ViT-B; the rest is S_w + S_a1, on average."""
    side, _, alone, shared, parameters, tasks = TABLE_2[name]
    backbone, size = vit_b(side), (side, side)
    whole = backbone.flops(None, backbone.arch, size) / 1e9
    layers = 12 * 12 * ((side // 16) ** 2 + 1) * 768**2
    part = work('base', w=density / 3, a=2 * density / 3, whole=layers)
    beside = alone - part.whole / 1e9
    assert part.counted / 1e9 + beside == pytest.approx(shared, rel=0.02)
    assert 0 < alone - whole < 0.17 * alone
    own = sum(weight.numel() for weight in backbone.parameters()) / 1e6
    assert 0 < parameters / tasks - own < 6
