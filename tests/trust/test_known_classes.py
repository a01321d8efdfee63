"""No class of the lists evaluates, opens or fetches by what a config gives it."""

import pytest
from audited import AUDITED, BUILDER_KEYS
from collect import KINDS, arguments, objections, registered
from reach import reach

from mdl_nas_mm.trust import refusals
from mdl_nas_mm.trust.known import known_classes
from mdl_nas_mm.trust.lookup import short_name
from mdl_nas_mm.trust.refused import REFUSED, why_refused, why_refused_argument
from mdl_nas_mm.trust.values import data_path, ending, folder, names, plain, rule_of, word

HOSTILE = (
    *('/etc/passwd', 'x.pkl', '../x', '~/x', 'http://127.0.0.1/x.pkl', 's3://x', 'torch.hub.load'),
    *("open('x')", 'x()', 'torchvision/Resize', '{{ fileDirname }}', 'a\nb', 'a\x1b[2J', '$HOME'),
)


@pytest.fixture(scope='module')
def listed():
    """Class -> kind of its registry, of the listed ones that the installed libraries have."""
    return {found: kind for kind, found in registered() if short_name(found) in known_classes()}


def test_nothing_dangerous_is_in_reach(listed):
    wrong = {short_name(found): objections(kind, found) for found, kind in listed.items()}
    assert not {name: found for name, found in wrong.items() if found}


def test_the_audit_sees(listed):
    """So that what finds nothing is known to look; and nothing is written down for nothing."""
    found = {hit for each in listed for hit in reach(each)}
    assert 'mmcv.ops.nms.batched_nms: eval' in found
    dangerous = {short_name(each): each for _, each in registered()}
    for name in ('mmdet.LAD', 'mmpretrain.MNIST', 'mmengine.DumpResults', 'mmseg.CLIPTextEncoder'):
        assert reach(dangerous[name]), name
    for name in ('mmdet.RefCocoDataset', 'mmdet.OpenImagesDataset'):
        assert any(hit.endswith(" 'pkl'") for hit in reach(dangerous[name])), name


def test_the_lists_are_of_classes_that_are_there(listed):
    """Most of them; another version of a library may lack some."""
    there = {short_name(found) for found in listed}
    assert len(there) > 0.9 * len(known_classes())
    assert not [short_name(found) for found in listed if why_refused(found)]


def test_every_class_of_this_package_is_listed_or_refused():
    own = {
        short_name(found): why_refused(found)
        for kind, found in registered()
        if kind in KINDS and is_of_package(found)
    }
    assert own['mdl_nas_mm.DenseEstimator'] is None
    assert own['mdl_nas_mm.MultiTaskModel'] == 'is no part of a task'
    assert {name for name, reason in own.items() if reason is None} <= {*known_classes()}


def is_of_package(found):
    return found.__module__.startswith('mdl_nas_mm.')


def test_arguments_are_those_of_the_classes(listed):
    for found in listed:
        name = short_name(found)
        own = arguments(found) | set(BUILDER_KEYS.get(name, ()))
        own |= {'requires_grad', 'layer', 'name', 'override'}
        extra = known_classes()[name] - own
        # A version may have fewer of them, never one that is refused.
        assert len(extra) <= 0.2 * len(known_classes()[name]) + 1, (name, extra)
        assert not [key for key in known_classes()[name] if why_refused_argument(found, key)]


def test_no_argument_takes_a_path_an_address_or_an_expression(listed):
    """But those of data: local ones that are read as such."""
    by_name = {short_name(found): found for found in listed}
    let_in = {
        (rule, text)
        for name, keys in known_classes().items()
        for key in keys
        if (rule := rule_of(by_name.get(name), key)) not in (data_path, folder, names, plain)
        for text in HOSTILE
        if _lets_in(rule, text)
    }
    # A suffix is put behind a name.
    assert {rule for rule, _ in let_in} <= {ending}
    assert {text for _, text in let_in} <= {'x.pkl', 'torch.hub.load'}


def _lets_in(rule, text):
    if rule is None:
        rule = word
    return rule(text, 'mmdet') is None


@pytest.mark.parametrize('text', ['http://127.0.0.1/x.json', 'x.pkl', 'x.yaml', 'x.pth', 'x\n'])
def test_data_are_local_files_that_are_read_as_data(text):
    assert data_path(text, 'mmdet') is not None


def test_every_argument_of_every_class_is_looked_at():
    """Through the door itself, where a class and its argument are named."""
    for name, keys in sorted(known_classes().items())[::25]:
        library, _, own = name.partition('.')
        if library == 'torch':
            continue
        for key in keys:
            config = dict({'type': f'{library}.{own}', key: 'http://127.0.0.1/x.pkl'})
            assert list(refusals('mmdet', config)), (name, key)


def test_every_exception_says_why():
    assert all(reason and reason[0].islower() or ' ' in reason for reason in AUDITED.values())
    assert all(REFUSED.values())
