"""``torch.compile`` of a backbone with one architecture, and of a supernet."""

import shutil

import pytest
import torch
from numerics.small_swin import all_backbones
from numerics.small_vit import build_vit, draw_images, draw_specs

from mdl_nas_mm.elastic import activate

CLOSE = dict(rtol=1e-10, atol=1e-10)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(torch.compiler, 'is_exporting'), reason='torch.compile of an early age'
    ),
]


@pytest.fixture(autouse=True)
def _compiled_afresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def outputs_and_gradients(backbone, run, images):
    backbone.zero_grad()
    outputs = run(images)
    sum(out.square().sum() for out in outputs).backward()
    return [*outputs, *(p.grad for p in backbone.parameters() if p.grad is not None)]


@all_backbones
def test_a_compiled_backbone_gives_the_same(build):
    """Outputs and gradients, for images of two sizes."""
    backbone = build('AllShared')
    compiled = torch.compile(backbone, backend='aot_eager', dynamic=False)
    for size in [(24, 16), (16, 24)]:
        images = draw_images(size)
        expected = outputs_and_gradients(backbone, backbone, images)
        ours = outputs_and_gradients(backbone, compiled, images)
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.skipif(
    not any(map(shutil.which, ('c++', 'g++', 'clang++'))), reason='there is no C++ compiler'
)
@all_backbones
def test_torchs_own_compiler_takes_a_backbone(build):
    """Whole windows, so that maps are shifted in all stages."""
    backbone, images = build('AllShared', dtype=torch.float32), draw_images((64, 64)).float()
    compiled = torch.compile(backbone, dynamic=False)
    expected = outputs_and_gradients(backbone, backbone, images)
    ours = outputs_and_gradients(backbone, compiled, images)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_a_supernet_is_compiled_anew_for_every_architecture_up_to_a_limit():
    """Beyond torch's limit it runs uncompiled; all give the same."""
    vit, images, graphs = build_vit('AllShared'), draw_images((8, 8)), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled, counts = torch.compile(vit, backend=count, dynamic=False), []
    limit = torch._dynamo.config.recompile_limit
    specs = list(dict.fromkeys(draw_specs(vit, limit + 2)))
    assert len(specs) > limit
    for spec in [*specs, *specs]:
        with activate('a', spec), torch.no_grad():
            torch.testing.assert_close(compiled(images)[0], vit(images)[0], **CLOSE)
        counts.append(len(graphs))
    assert counts[:limit] == sorted(set(counts[:limit]))
    assert set(counts[limit - 1 :]) == {counts[limit - 1]}
