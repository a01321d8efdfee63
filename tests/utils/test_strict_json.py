"""JSON is taken for what it says, once, or refused in one line."""

import json
import math

import pytest
from refusals import raises_naming

from mdl_nas_mm.utils.jsonable import from_json, to_json
from mdl_nas_mm.utils.strict_json import MAX_BYTES, read_json, strict_json


def test_what_is_json():
    value = {'a': [1, 2.5, -3e-7, True, None, 'ü\n'], 'b': {}}
    assert strict_json(json.dumps(value)) == value
    assert strict_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('NaN', ('NaN',)),
        ('[-Infinity]', ('-Infinity',)),
        ('1e999', ('1e999',)),
        ('-1e999', ('-1e999',)),
        ('1' * 200, ('1' * 20, '200 digits')),
        ('0.' + '1' * 200, ('0.' + '1' * 18,)),
        ('{"a": 1, "b": 2, "a": 3}', ("key 'a'",)),
        ('{"\\u001b[31m": 1, "\\u001b[31m": 2}', (r"key '\x1b[31m'",)),
        ('[' * 65 + ']' * 65, (64,)),
        ('[' * 100_000, (64,)),
        ('[' + '0,' * 2**20 + '0]', ('1,048,576 values',)),
        ('', ('line 1',)),
        (b'\xff', ('utf-8',)),
        ('{"a": 1} x', ('column 10',)),
    ],
)
def test_what_is_not(text, named):
    with raises_naming(ValueError, *named):
        strict_json(text)


def test_files(tmp_path):
    path = tmp_path / 'a.json'
    with raises_naming(FileNotFoundError, 'the table'):
        read_json(path, 'the table')
    path.write_text('[1, NaN]')
    with raises_naming(ValueError, 'the table', 'NaN'):
        read_json(path, 'the table')
    with open(path, 'wb') as file:
        file.truncate(MAX_BYTES + 1)
    with raises_naming(ValueError, 'the table', '67,108,864'):
        read_json(path, 'the table')


def test_config_values_there_and_back():
    value = {
        'tuple': (1, (2,), []),
        'numbers': {0: 'a', (1, 2): 'b'},
        'marks': {'__tuple__': 1, '__float__': {'__items__': 2}},
        'far': [math.inf, -math.inf],
    }
    assert from_json(strict_json(json.dumps(to_json(value), allow_nan=False))) == value
    assert math.isnan(from_json(to_json(math.nan)))


@pytest.mark.parametrize(
    'value',
    [
        {'__tuple__': 'abc'},
        {'__tuple__': 10**9},
        {'__float__': '1e5'},
        {'__float__': ['inf']},
        {'__items__': {'a': 1}},
        {'__items__': [[1, 2, 3]]},
        {'__items__': [[[], 1]]},
    ],
)
def test_marks_that_lie(value):
    with pytest.raises(ValueError):
        from_json(value)
