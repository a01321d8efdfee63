"""What is kept of sizes never comes from a graph that was only traced."""

import pytest
import torch
from numerics.small_swin import all_backbones
from numerics.small_vit import draw_images

from mdl_nas_mm.elastic.cached import cached
from mdl_nas_mm.families.swin.window_tables import pair_index, shift_mask
from mdl_nas_mm.families.transformer.relative_position import token_places


def test_keeps_the_latest_only():
    calls = []

    @cached(2)
    def ones(count):
        calls.append(count)
        return torch.ones(count)

    first = ones(1)
    assert ones(1) is first and not first.is_inference()
    ones(2), ones(3), ones(1)
    assert calls == [1, 2, 3, 1]
    with torch.inference_mode():
        assert not ones(4).is_inference()


@pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_exporting'), reason='this torch traces code, not calls'
)
@all_backbones
def test_a_first_pass_that_is_an_export_leaves_nothing_behind(build):
    for function in (pair_index, shift_mask, token_places):
        function.cache_clear()
    backbone = build('AllShared', dtype=torch.float32).eval()
    images = draw_images((24, 16), dtype=torch.float32)
    program = torch.export.export(backbone, (images,), strict=False)
    expected = backbone(images)
    for ours, theirs in zip(program.module()(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
