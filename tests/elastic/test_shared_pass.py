"""Features that are computed once inside of a block, and nowhere else."""

import pytest
import torch

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.elastic.shared_pass import SharedPass, shared_pass
from mdl_nas_mm.families.vit import ElasticViT

CONFIG = dict(
    space=dict(embed_dim=(16, 24), depth=(1, 2), num_heads=(1, 2), mlp_ratio=2),
    tasks=('a', 'b', 'c'),
    img_size=16,
    patch_size=4,
    head_dim=8,
    out_type='featmap',
    out_indices=dict(a=(-1,), b=(-1,), c=(0, -1)),
)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return ElasticViT(**CONFIG).eval()


@pytest.fixture
def passed(backbone, monkeypatch):
    """An entry for each pass that is computed, of the backbone and of plain ones."""
    calls, forward = [], ElasticViT.forward_subnet

    def counting(self, *args):
        calls.append(args)
        return forward(self, *args)

    monkeypatch.setattr(ElasticViT, 'forward_subnet', counting)
    return calls


def run(backbone, images, task, spec):
    with activate(task, spec), torch.no_grad():
        return backbone(images)


def test_equal_images_are_run_once(backbone, passed):
    images, spec = torch.randn(2, 3, 16, 16), backbone.space.largest()
    expected = run(backbone, images, 'a', spec)
    passed.clear()
    with SharedPass():
        first = run(backbone, images, 'a', spec)
        assert run(backbone, images, 'b', spec)[0] is first[0]
        assert run(backbone, images.clone(), 'b', spec)[0] is first[0]
        assert torch.equal(first[0], expected[0]) and len(passed) == 1
        # Another architecture, other settings, other images, of another size.
        run(backbone, images, 'b', backbone.space.smallest())
        assert len(run(backbone, images, 'c', spec)) == 2
        run(backbone, images + 1, 'a', spec)
        run(backbone, images.double().float()[:, :, :12], 'a', spec)
        assert len(passed) == 5
    run(backbone, images, 'a', spec)
    assert len(passed) == 6 and shared_pass() is None


def test_each_image_is_run_once_where_labels_are_missing(backbone, passed):
    """Some of them for one task, others for the next."""
    images, spec = torch.randn(4, 3, 16, 16), backbone.space.largest()
    (expected,) = run(backbone, images, 'a', spec)
    passed.clear()
    with SharedPass():
        for places in ([0, 2], [1, 2, 3], [0, 1, 2, 3], [2]):
            (found,) = run(backbone, images[places], 'a', spec)
            torch.testing.assert_close(found, expected[places], rtol=0, atol=1e-6)
    assert [len(args[0]) for args in passed] == [2, 2]


def test_plain_copies_of_a_subnet_share_as_well(backbone, passed):
    images, spec = torch.randn(2, 3, 16, 16), backbone.space.smallest()
    plain = {task: plain_part(backbone, CONFIG, task, spec) for task in 'abc'}
    with SharedPass(), torch.inference_mode():
        first = plain['a'](images)
        assert plain['b'](images.clone())[0] is first[0] and len(passed) == 1
        plain['c'](images)
        assert len(passed) == 2


def test_what_was_changed_in_place_is_computed_anew(backbone, passed):
    images, spec = torch.randn(2, 3, 16, 16), backbone.space.largest()
    with SharedPass():
        (features,) = run(backbone, images, 'a', spec)
        features.zero_()
        (again,) = run(backbone, images, 'b', spec)
        assert again.abs().sum() > 0
        images.mul_(2)
        (other,) = run(backbone, images, 'b', spec)
        assert not torch.equal(other, again) and len(passed) == 3


def test_features_with_a_graph_are_known_only_if_they_were_given(backbone, passed):
    images, spec = torch.randn(2, 3, 16, 16), backbone.space.largest()
    with activate('a', spec), SharedPass() as shared:
        backbone(images)[0].sum().backward()
        backbone(images)[0].sum().backward()
        assert len(passed) == 2
        leaf = torch.zeros(2, 24, 4, 4, requires_grad=True)
        shared.put(backbone.pass_key('a', spec), images, [leaf])
        backbone(images)[0].sum().backward()
        assert len(passed) == 2 and leaf.grad is not None


def test_nothing_is_left_where_a_pass_fails(backbone):
    with pytest.raises(KeyError), SharedPass():
        raise KeyError
    assert shared_pass() is None
