"""Latency tables: which parts there are, sums of them, and what does not fit."""

import json
import random
from dataclasses import asdict, replace

import pytest
from refusals import raises_naming

from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.families.swin import SWIN, SwinShape
from mdl_nas_mm.families.swin_unet import SWIN_UNET
from mdl_nas_mm.families.swin_unet.shape import SwinUNetShape
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.transformer.timed_parts import TimedPart
from mdl_nas_mm.families.vit import VIT, ViTShape
from mdl_nas_mm.spec import SearchSpace

STAGE = dict(
    embed_dim=(6, 8),
    depth=(2, 3),
    num_heads=(1, 2),
    mlp_ratio=(1, 2.5),
    share_ratio=(0.3, 1),
)
MANY = dict(STAGE, depth=(5, 6, 8))
EACH = dict(STAGE, depth=(1, 3), num_heads=[(1,), (2, 3), (1, 3)])
VIT_SHAPE = ViTShape(img_size=(8, 8), patch_size=4, head_dim=2)
SWIN_SHAPE = SwinShape(patch_size=2, head_dim=2, window_sizes=(3, 2))


def timing_of(family, shape, size=(8, 8), settings=None, **changes):
    shape = json.loads(json.dumps(asdict(shape)))
    return Timing(family, shape, settings or {}, size, **changes)


def vit(stage=STAGE, window=0, **changes):
    space = SearchSpace.from_config(stage, TRANSFORMER)
    return space, timing_of(VIT, VIT_SHAPE, settings=dict(window=window), **changes)


def swin(*stages):
    space = SearchSpace.from_config(stages, TRANSFORMER)
    return space, timing_of(SWIN, SWIN_SHAPE, (16, 16))


def tree(**shape):
    level = dict(depth=(1, 2), num_heads=2, mlp_ratio=1, window_side=(2, 3), share_ratio=1)
    widths = ((6, 8), (8, 10), 9, (4, 5))
    space = SWIN_UNET.space([dict(level, embed_dim=width) for width in widths])
    return space, timing_of(SWIN_UNET, SwinUNetShape(**shape), (16, 16))


CASES = {
    'ViT': vit(),
    'ViT with windows': vit(MANY, window=2),
    'ViT of different blocks': vit(EACH, window=2),
    'ViT per stage': vit(dict(MANY, per_stage=True), window=2),
    'Swin': swin(STAGE, dict(STAGE, embed_dim=(4, 5, 7), depth=1)),
    'Swin per stage': swin(*[dict(STAGE, depth=(1, 2), per_stage=True)] * 2),
    'Swin with decoders': tree(),
    'Swin with skip connections': tree(skip_connections=True),
}
cases = pytest.mark.parametrize(('space', 'timing'), CASES.values(), ids=CASES)


def numbered(space, timing):
    """A table of different powers of two, whose sums show what was added."""
    parts = timing.timed.all_parts(space)
    return LatencyTable(timing, {part: float(2**i) for i, part in enumerate(parts)})


@cases
def test_all_parts_are_those_of_all_architectures(space, timing):
    rng, seen = random.Random(0), set()
    for _ in range(3000):
        seen.update(timing.timed.parts(space.sample(rng)))
    parts = timing.timed.all_parts(space)
    assert seen == set(parts) and len(parts) == len(seen)


@cases
def test_a_prediction_is_the_sum_of_the_parts(space, timing):
    table, rng = numbered(space, timing), random.Random(1)
    for _ in range(50):
        spec = space.sample(rng)
        parts = timing.timed.parts(spec)
        assert sum(part.kind == 'block' for part in parts) == spec.depth
        assert table.predict(spec) == sum(table.milliseconds[part] for part in parts)
        assert table.predict(space.resample_ratios(spec, rng)) == table.predict(spec)


@cases
def test_few_architectures_have_every_part(space, timing):
    specs = list(timing.timed.covering_specs(space, random.Random(2)))
    assert {part for spec in specs for part in timing.timed.parts(spec)} == set(
        timing.timed.all_parts(space)
    )
    assert len(specs) < len(timing.timed.all_parts(space))
    assert specs == list(timing.timed.covering_specs(space, random.Random(2)))
    for spec in specs:
        space.check(spec)


def test_four_blocks_of_a_vit_with_windows_see_the_whole_image():
    space, timing = vit(dict(STAGE, depth=8), window=2)
    kinds = [part.attention for part in timing.timed.parts(space.largest()) if part.kind == 'block']
    assert kinds == ['windows', 'whole'] * 4
    space, timing = vit(dict(STAGE, depth=8))
    assert {part.attention for part in timing.timed.parts(space.largest())} == {None, 'whole'}


def test_parts_of_a_swin_are_in_order():
    space, timing = swin(dict(STAGE, depth=2), dict(STAGE, embed_dim=5, depth=1))
    assert timing.timed.parts(space.smallest()) == [
        TimedPart('stem', 0, 6),
        TimedPart('block', 0, 6, 1, 1, 'windows'),
        TimedPart('block', 0, 6, 1, 1, 'shifted windows'),
        TimedPart('end', 0, 6, next_dim=5),
        TimedPart('block', 1, 5, 1, 1, 'windows'),
        TimedPart('end', 1, 5),
    ]


@cases
def test_a_table_comes_back_from_its_file(space, timing, tmp_path):
    table, path = numbered(space, timing), tmp_path / 'table.json'
    table.save(path)
    loaded = LatencyTable.load(path)
    assert loaded.timing == timing and loaded.milliseconds == table.milliseconds
    loaded.check(timing, space)


def test_a_table_of_a_space_serves_a_part_of_it():
    space, timing = CASES['ViT']
    part = SearchSpace.from_config(dict(STAGE, embed_dim=8, depth=2), TRANSFORMER)
    table = numbered(space, timing)
    # Positions may be stored for images of another size.
    shape = replace(VIT_SHAPE, img_size=(16, 16))
    table.check(timing_of(VIT, shape, settings=dict(window=0)), part)


def test_a_missing_choice_is_named():
    space, timing = CASES['ViT']
    wider = SearchSpace.from_config(dict(STAGE, embed_dim=(6, 8, 10)), TRANSFORMER)
    table = numbered(space, timing)
    with raises_naming(ValueError, 'latency table', 'stem', 'stage 0, embed_dim 10'):
        table.check(timing, wider)
    # Also one that is neither the smallest nor the largest.
    between = SearchSpace.from_config(dict(STAGE, embed_dim=(6, 7, 8)), TRANSFORMER)
    with raises_naming(ValueError, 'latency table', 'stem', 'stage 0, embed_dim 7'):
        table.check(timing, between)
    spec = TRANSFORMER.read(dict(embed_dim=8, depth=2, num_heads=3, mlp_ratio=2.5))
    choices = 'stage 0, embed_dim 8, num_heads 3, mlp_ratio 2.5, attention whole'
    with raises_naming(ValueError, 'block', choices):
        table.predict(spec)


def test_a_table_that_predicts_badly_is_of_no_use():
    space, timing = CASES['ViT']
    table = numbered(space, timing)
    for about in ({}, dict(comparison={}), dict(comparison=dict(spearman=0.5))):
        replace(table, about=about).check_useful()
    # The other way round is as bad as no relation at all.
    for correlation in (0.49, -0.9):
        with raises_naming(ValueError, 'latency table', f'{correlation:.2f}'):
            replace(table, about=dict(comparison=dict(spearman=correlation))).check_useful()


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(input_size=(16, 8)), ('input_size', (8, 8), (16, 8))),
        (dict(batch_size=2), ('batch_size', 1, 2)),
        (dict(device='cuda'), ('device', 'cpu', 'cuda')),
        (dict(threads=4), ('threads', 1, 4)),
        (dict(settings=dict(window=14)), ('window', 0, 14)),
        (dict(family=SWIN), ('family', 'ViT', 'Swin')),
        (dict(shape=dict(CASES['ViT'][1].shape, patch_size=16)), ('patch_size', 4, 16)),
    ],
)
def test_a_table_of_something_else_is_refused(changes, named):
    space, timing = CASES['ViT']
    with raises_naming(ValueError, *named):
        numbered(space, timing).check(replace(timing, **changes), space)


@pytest.mark.parametrize('text', ['', '[]', '{"timing": {}}', '{"parts": 3}', '[' * 10**5])
def test_a_file_that_is_no_table_is_refused(text, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(text)
    with raises_naming(ValueError, f'latency table {path}'):
        LatencyTable.load(path)


def test_an_altered_table_is_refused(tmp_path):
    path = tmp_path / 'table.json'
    numbered(*CASES['ViT']).save(path)
    content = json.loads(path.read_text())
    for change in (
        dict(unknown=1),
        dict(milliseconds=float('nan')),
        dict(milliseconds='3'),
        dict(milliseconds=True),
        dict(embed_dim=[]),
    ):
        altered = [dict(content['parts'][0], **change), *content['parts'][1:]]
        path.write_text(json.dumps(dict(content, parts=altered)))
        with raises_naming(ValueError, f'latency table {path}'):
            LatencyTable.load(path)


def test_a_missing_file_is_named(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / 'table.json', 'mdl-nas latency'):
        LatencyTable.load(tmp_path / 'table.json')


def test_a_table_of_an_earlier_version_is_read(tmp_path):
    """Then every family had a window, and both are named in the file as they are now."""
    path, parts = tmp_path / 'table.json', [dict(kind='stem', stage=0, embed_dim=6, milliseconds=2)]
    timing = CASES['Swin'][1].to_dict() | dict(window=0)
    path.write_text(json.dumps(dict(timing=timing, about={}, parts=parts)))
    table = LatencyTable.load(path)
    assert table.milliseconds == {TimedPart('stem', 0, 6): 2.0}
    with raises_naming(ValueError, 'stem'):
        table.check(CASES['Swin'][1], CASES['Swin'][0])
