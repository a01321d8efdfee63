"""Files of ``torch.save`` are data: what else they hold is refused before it could run."""

import collections
import fractions
import io
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from refusals import assert_names, raises_naming
from torch import nn

from mdl_nas_mm.utils.data_only import data_only, fetched
from mdl_nas_mm.utils.torch_file import read_torch_file

TRUST = ('--trust-checkpoint', 'trust_checkpoint=True')


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


def saved(content, path, **kwargs):
    torch.save(content, path, **kwargs)
    return path


def refusal(path):
    with pytest.raises(ValueError) as error:
        read_torch_file(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)
    return str(error.value)


@pytest.fixture(params=[True, False], ids=['zip', 'older'])
def form(request):
    return dict(_use_new_zipfile_serialization=request.param)


def test_weights_and_what_lies_beside_them(tmp_path, form):
    content = dict(
        state_dict=collections.OrderedDict(w=torch.ones(2, 3), h=torch.ones(2).bfloat16()),
        parameter=nn.Parameter(torch.zeros(2)),
        shared=[torch.arange(6)[::2], torch.arange(6)],
        meta=dict(epoch=3, text='a' * 300, classes=('a', 'b'), large=2**70, nothing=None),
        counts=collections.Counter([1, 1]),
        numpy=[np.float64(0.1), np.arange(3), np.array(['a', 'bc'])],
        other=[{1}, b'abc', torch.float16, torch.device('cpu'), torch.Size([2])],
    )
    found = read_torch_file(saved(content, tmp_path / 'a.pth', **form))
    assert repr(found) == repr(content)


def test_the_log_of_mmengine(tmp_path, form):
    log = HistoryBuffer([1.0, 2.0], [1, 3], max_length=7)
    found = read_torch_file(saved(dict(log=log), tmp_path / 'a.pth', **form))['log']
    assert type(found) is HistoryBuffer and found.max_length == 7
    assert found.mean() == log.mean() and found.data[1].dtype == log.data[1].dtype


def test_a_log_cannot_replace_the_statistics_of_all(tmp_path):
    methods = dict(HistoryBuffer._statistics_methods)
    log = HistoryBuffer([1.0], [1])
    state = dict(log.__getstate__(), statistics_methods=dict(mean='x', other='y'))
    path = saved(dict(log=Calls(HistoryBuffer, (), (), 10, state=state)), tmp_path / 'a.pth')
    assert len(read_torch_file(path)['log'].data[0]) == 1
    assert HistoryBuffer._statistics_methods == methods


def test_where_torch_can_be_told_of_no_classes(tmp_path, form, monkeypatch):
    """As torch 2.1."""
    monkeypatch.delattr(torch.serialization, 'safe_globals', raising=False)
    content = dict(w=torch.ones(3), log=HistoryBuffer([1.0, 2.0], [1, 1]), n=np.float64(2))
    found = read_torch_file(saved(content, tmp_path / 'a.pth', **form))
    assert torch.equal(found['w'], content['w']) and found['n'] == 2
    assert found['log'].mean() == 1.5
    saved(dict(n=np.float64(2), x=Calls(print, 'ran')), tmp_path / 'b.pth', **form)
    assert 'builtins.print' in refusal(tmp_path / 'b.pth')


@pytest.mark.parametrize(
    ('content', 'named'),
    [
        (Calls(print, 'ran'), 'builtins.print'),
        (Calls(eval, "print('ran')"), 'builtins.eval'),
        (fractions.Fraction(1, 2), 'fractions.Fraction'),
        (nn.Linear(1, 1), 'torch.nn.modules.linear.Linear'),
        (Calls(bytearray, 10**12), 'builtins.bytearray'),
        (Calls(torch.Tensor, 10**9), 'torch.Tensor'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_code_is_refused_and_named(tmp_path, form, capsys, content, named):
    path = saved(dict(state_dict={}, more=content), tmp_path / 'a.pth', **form)
    message = refusal(path)
    assert_names(message, path, f'({named}', *TRUST)
    assert 'ran' not in capsys.readouterr().out


def test_who_trusts_gets_all(tmp_path, form, capsys):
    path = saved(Calls(print, 'ran'), tmp_path / 'a.pth', **form)
    assert read_torch_file(path, trust=True) is None
    assert capsys.readouterr().out == 'ran\n'


def test_a_trusted_file_may_need_what_is_not_there(tmp_path, form, monkeypatch):
    """As checkpoints with a class of an older library, or of the other numpy."""
    module = ModuleType('no_longer_there')
    module.Gone = type('Gone', (), dict(__module__='no_longer_there'))
    monkeypatch.setitem(sys.modules, 'no_longer_there', module)
    path = saved(module.Gone(), tmp_path / 'a.pth', **form)
    monkeypatch.delitem(sys.modules, 'no_longer_there')
    with raises_naming(ValueError, 'no_longer_there'):
        read_torch_file(path, trust=True)


def test_getattr_gives_nothing(tmp_path):
    """mmengine's log names it; whatever else it is asked for, it does not give."""
    path = saved(dict(x=Calls(getattr, HistoryBuffer, '__init__')), tmp_path / 'a.pth')
    assert read_torch_file(path) == dict(x=None)


def doubled(times):
    """Bytes that would be made of bytes, each time twice as many."""
    import _codecs

    value = b'ab'
    for _ in range(times):
        value = Calls(_codecs.encode, value, 'hex_codec')
    return value


def claims(elements, strides):
    """A tensor that is said to be larger than its memory."""
    memory = torch.ones(4)._typed_storage()
    args = (memory, 0, elements, strides, False, collections.OrderedDict())
    return Calls(torch._utils._rebuild_tensor_v2, *args)


def test_nothing_larger_than_the_file(tmp_path, form):
    # What numpy makes arrays of when it reads a pickle.
    reconstruct = np.ones(1).__reduce__()[0]
    for content in (
        doubled(60),
        claims((2**40,), (1,)),
        claims((2**40,), (0,)),
        claims((2**62, 4), (1, 1)),
        Calls(reconstruct, np.ndarray, (2**40,), 'b'),
    ):
        refusal(saved(dict(state_dict=content), tmp_path / 'a.pth', **form))


def used_again(function, value, times=5_000):
    """What copies a value each time, which takes a few bytes of the file."""
    return [Calls(function, value) for _ in range(times)]


def shared_in_itself(depth):
    """A tuple of so many tuples that to compare it takes 2 ** depth steps."""
    value = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


def test_nothing_small_is_made_large_by_using_it_again(tmp_path, form):
    numbers = list(range(5_000))
    for content in (
        used_again(set, numbers),
        used_again(collections.Counter, dict.fromkeys(numbers, 1)),
        used_again(collections.OrderedDict, dict.fromkeys(numbers, 1)),
        used_again(torch.Size, numbers),
    ):
        read_torch_file(saved(dict(state_dict=content[:1]), tmp_path / 'once.pth', **form))
        refusal(saved(dict(state_dict=content), tmp_path / 'a.pth', **form))
    refusal(saved(dict(state_dict=Calls(set, [shared_in_itself(60)])), tmp_path / 'a.pth', **form))


def test_what_others_let_in_stays(tmp_path):
    safe = getattr(torch.serialization, 'get_safe_globals', None)
    if safe is None:
        pytest.skip('this torch has no such list')
    before = safe()
    torch.serialization.add_safe_globals([np.dtype, (np.ndarray, 'numpy.ndarray')])
    try:
        read_torch_file(saved(dict(a=np.ones(2)), tmp_path / 'a.pth'))
        assert {np.dtype, (np.ndarray, 'numpy.ndarray')} <= set(safe())
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """The same archive with other records."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))
    return path


def test_nothing_lies_around_the_records(tmp_path):
    """Python and torch would find other ones."""
    path = saved(dict(a=1), tmp_path / 'a.pth')
    content = path.read_bytes()
    path.write_bytes(content + content)
    refusal(path)
    path.write_bytes(content)
    assert read_torch_file(path) == dict(a=1)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.comment = b'more'
    refusal(path)


def test_records_that_lie(tmp_path):
    path = saved(dict(w=torch.ones(4), zeros=torch.zeros(1000)), tmp_path / 'a.pth')
    content = path.read_bytes()
    rewritten(path, lambda name, data: data, zipfile.ZIP_DEFLATED)
    assert_names(refusal(path), 'data.pkl')
    path.write_bytes(content)
    # What is written again just as it was is read.
    assert read_torch_file(rewritten(path, lambda name, data: data)).keys() == {'w', 'zeros'}
    # Four elements become 65,535, of which the memory is somebody else's.
    rewritten(path, lambda name, data: data.replace(b'K\x04', b'M\xff\xff'))
    refusal(path)
    path.write_bytes(content)
    rewritten(path, lambda name, data: data[:-4] if name.endswith('data/0') else data)
    assert_names(refusal(path), "'0'")


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'nothing that torch wrote',
        b'PK\x03\x04' + b'0' * 100,
        b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.',
        b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' + b'\x80\x02}.' * 4,
        pickle.dumps(dict(state_dict={}), 2),
    ],
    ids=range(6),
)
def test_other_files(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    refusal(path)


def test_tar_archives_are_refused(tmp_path):
    """torch 2.1 reads them without asking what they hold."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('pickle'))
    path = tmp_path / 'a.pth'
    path.write_bytes(buffer.getvalue())
    refusal(path)


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_newer_pickles_need_trust(tmp_path):
    path = saved(dict(a=1), tmp_path / 'a.pth', pickle_protocol=4)
    assert_names(refusal(path), *TRUST)


def test_what_mmengine_loads_is_data_too(tmp_path, capsys):
    model = nn.Linear(2, 1)
    good = saved(model.state_dict(), tmp_path / 'good.pth')
    bad = saved(dict(state_dict=model.state_dict(), x=Calls(print, 'ran')), tmp_path / 'bad.pth')
    with data_only():
        load_checkpoint(model, str(good), logger='silent')
        with raises_naming(ValueError, 'builtins.print'):
            load_checkpoint(model, str(bad), logger='silent')
    with data_only(trust=True):
        load_checkpoint(model, str(bad), logger='silent')
    assert capsys.readouterr().out.count('ran') == 1


def test_addresses(monkeypatch):
    """Names that mmengine knows, and their files."""
    monkeypatch.setattr('mdl_nas_mm.utils.data_only.local_file', Path)
    assert fetched('here.pth') == Path('here.pth')
    assert fetched('torchvision://resnet50').name.startswith('resnet50')
    assert fetched('open-mmlab://detectron2/resnet50_caffe').suffix == '.pth'
    with raises_naming(ValueError, 'torchvision://no_such_model'):
        fetched('torchvision://no_such_model')
