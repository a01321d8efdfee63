"""What is active, and that only the root of a backbone reads it."""

import ast
import random
import threading
from pathlib import Path

import pytest
import torch
from numerics.small_swin import all_backbones, build_swin
from numerics.small_vit import build_vit, draw_images
from refusals import raises_naming

import mdl_nas_mm
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.active import active

PACKAGE = Path(mdl_nas_mm.__file__).parent


def two_specs(backbone):
    rng = random.Random(0)
    return backbone.space.largest(), backbone.space.sample(rng)


def assert_equal(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_nothing_is_active_at_first():
    assert active() is None


def test_activate_nests():
    vit = build_vit('Sequential')
    first, second = two_specs(vit)
    with activate('a', first):
        assert active() == ('a', first)
        with activate('b', second):
            assert active() == ('b', second)
        assert active() == ('a', first)
    assert active() is None


def test_an_exception_ends_what_was_active():
    vit = build_vit('Sequential')
    first, second = two_specs(vit)
    with activate('a', first):
        with pytest.raises(RuntimeError, match='boom'), activate('b', second):
            raise RuntimeError('boom')
        assert active() == ('a', first)
    with raises_naming(ValueError, '3 x 3', 'patch'), activate('a', first):
        vit(draw_images((3, 3)))
    assert active() is None


def test_one_activate_serves_again():
    """The same context manager function, entered many times, leaves nothing behind."""
    vit = build_vit('Sequential')
    for spec in two_specs(vit) * 3:
        with activate('a', spec):
            assert active().spec is spec
    assert active() is None


@all_backbones
def test_a_backbone_runs_as_what_is_active(build):
    backbone, images = build('Sequential'), draw_images((12, 16))
    for task in 'ab':
        for spec in two_specs(backbone):
            with activate(task, spec):
                ours = backbone(images)
            assert_equal(ours, backbone.forward_subnet(images, task, spec))


def test_outside_it_runs_as_its_own_arch():
    """As a drop-in backbone: ``arch`` and ``task`` of its config, the largest by default."""
    images = draw_images((12, 16))
    vit = build_vit('Sequential', task='b')
    assert vit.arch == vit.space.largest()
    (ours,) = vit(images)
    assert torch.equal(ours, vit.forward_subnet(images, 'b', vit.space.largest())[0])
    arch = dict(embed_dim=12, depth=2, num_heads=[1, 3], mlp_ratio=1.5, share_ratio=1)
    vit = build_vit('Sequential', task='a', arch=arch)
    (ours,) = vit(images)
    assert torch.equal(ours, vit.forward_subnet(images, 'a', vit.arch)[0])
    assert vit.arch.stages[0].embed_dim == 12 and not ours[:, 12:].any()


def test_a_swin_runs_as_its_own_arch():
    images = draw_images((12, 16))
    swin = build_swin('Sequential', task='b', pad_small_map=True)
    assert_equal(swin(images), swin.forward_subnet(images, 'b', swin.space.largest()))
    arch = swin.space.sample(random.Random(1))
    swin = build_swin('Sequential', task='a', pad_small_map=True, arch=arch.to_dict())
    assert swin.arch == arch
    assert_equal(swin(images), swin.forward_subnet(images, 'a', arch))


@all_backbones
def test_threads_do_not_see_each_others(build):
    backbone, images = build('Sequential'), draw_images((12, 16))
    specs, barrier, outputs = two_specs(backbone), threading.Barrier(2), {}

    def run(task, spec):
        with activate(task, spec):
            barrier.wait(timeout=60)
            outputs[task] = backbone(images)
            barrier.wait(timeout=60)

    jobs = list(zip('ab', specs, strict=True))
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for task, spec in jobs:
        assert_equal(outputs[task], backbone.forward_subnet(images, task, spec))


def names_in(path, *names):
    """Functions of a file, as dotted names, in which one of the names is used but not imported."""
    found = []

    def visit(node, where):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            where = [*where, node.name]
        name = getattr(node, 'id', None) or getattr(node, 'attr', None)
        if name in names:
            found.append('.'.join(where))
        for child in ast.iter_child_nodes(node):
            visit(child, where)

    visit(ast.parse(path.read_text()), [])
    return found


def test_there_is_one_reader():
    """Only the root reads it: read in a layer, activation checkpointing would recompute another.

    So it is with what has been computed for the same images.
    """
    readers = {
        str(path.relative_to(PACKAGE)): found
        for path in sorted(PACKAGE.rglob('*.py'))
        if (found := names_in(path, 'active', '_ACTIVE', 'ContextVar'))
    }
    own = readers.pop('elastic/active.py')
    assert {where for where in own if where} == {'activate', 'active'}
    shared = readers.pop('elastic/shared_pass.py')
    assert not any(shared), 'a context variable is made in a file alone, and read by its functions'
    # What losses count, which no forward pass depends on.
    assert not any(readers.pop('methods/autotaskformer/heads.py'))
    assert readers == {
        'elastic/backbone.py': ['ElasticBackbone.forward'],
        # The root of an elastic head.
        'families/heads/base.py': ['SlimHead.active_counts'],
    }
    readers = {
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob('*.py'))
        if names_in(path, 'shared_pass')
    }
    assert readers == {'elastic/backbone.py'}
