"""The toy family and method use nothing of the package that docs/extending.md does not name."""

import ast
import re
from pathlib import Path

import pytest
from helpers import ROOT

PAGE = (ROOT / 'docs' / 'extending.md').read_text()
CODE = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


def names_of(code):
    """Module and name of all that is imported of the package."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, '') for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module, alias.name) for alias in node.names}
    return {each for each in found if each[0].partition('.')[0] == 'mdl_nas_mm'}


@pytest.mark.parametrize('name', ['toy_family', 'toy_method'])
def test_imports_are_on_the_page(name):
    used = names_of(Path(__file__).with_name(f'{name}.py').read_text())
    assert used, 'it imports nothing'
    assert used <= set().union(*map(names_of, CODE))


def test_what_the_page_imports_is_there():
    for code in CODE:
        exec('\n'.join(f'from {m} import {n}' for m, n in names_of(code)), {})


def test_files_that_the_page_names_are_there():
    for path in re.findall(r'`((?:mdl_nas_mm|tests)/[\w/]+\.py)`', PAGE):
        assert (ROOT / path).exists(), path
