"""Nothing of another library that has no promise is used outside of ``utils/private.py``."""

import ast
import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import mdl_nas_mm

PACKAGE = Path(mdl_nas_mm.__file__).parent
PRIVATE = PACKAGE / 'utils' / 'private.py'
# Public, and documented under this name.
DOCUMENTED = {'_exit', '_fields', '_replace', '__version__', 'annotations'}
# What torch and the mm libraries document as to be set from outside.
SETTABLE = {'grad', 'requires_grad', 'momentum', 'process_group', 'dataset_meta'}
SETTABLE |= {'optim_wrapper', 'param_schedulers'}
# Of objects of our own.
OWN = {
    'features',
    'waiting',
    'before',
    'backbone',
    'forward',
    'part',
    'parts',
    'balance',
    'grad_norm_interval',
    '__doc__',
    'cache_clear',
    'cache_info',
}
# What replaces an attribute by its name.
SETTERS = {'setattr', 'delattr', 'object.__setattr__', 'object.__delattr__'}
# Configs are written by their keys.
CONFIGS = ('cfg', 'joint', 'recipe', 'task', 'backbone.init_cfg')


def is_private(name):
    return name.startswith('_') and not name.startswith('__') and name not in DOCUMENTED


def trees():
    for path in sorted(PACKAGE.rglob('*.py')):
        if path != PRIVATE:
            yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding='utf-8'))


def test_no_private_name_of_anybody_else_is_used():
    found = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                if ast.unparse(node.value) not in ('self', 'cls', 'super()'):
                    found.append(f'{path}:{node.lineno} {ast.unparse(node)}')
            elif isinstance(node, ast.ImportFrom):
                names = [*(node.module or '').split('.'), *(alias.name for alias in node.names)]
                found += [f'{path}:{node.lineno} {name}' for name in names if is_private(name)]
    assert not found


def test_no_attribute_of_anybody_else_is_replaced():
    found = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
                owner = ast.unparse(node.value)
                ours = owner in ('self', 'cls') or owner.startswith(CONFIGS)
                if not ours and node.attr not in SETTABLE | OWN:
                    found.append(f'{path}:{node.lineno} {ast.unparse(node)}')
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in SETTERS:
                if ast.unparse(node.args[0]) != 'self':
                    found.append(f'{path}:{node.lineno} {ast.unparse(node)}')
    assert not found


def classes():
    for module in pkgutil.walk_packages(mdl_nas_mm.__path__, 'mdl_nas_mm.'):
        if module.name == 'mdl_nas_mm.utils.private':
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                yield value


@cache
def source(kind):
    """Of a class; Python reads its whole module each time that it is asked."""
    return inspect.getsource(kind)


def test_no_class_meddles_with_the_private_names_of_its_bases():
    found = []
    for own in classes():
        # Those in Python, ours left out.
        bases = [b for b in own.__mro__ if b.__module__.startswith(('mm', 'torch.'))]
        bases = [b for b in bases if b.__module__ != 'torch._C']
        names = set(re.findall(r'self\.(_[a-z]\w*)', source(own)))
        # What its body defines or sets.
        names |= set(re.findall(r'^    (?:def )?(_[a-z]\w*)\b', source(own), re.M))
        for base in bases:
            text = source(base)
            found += [
                f'{own.__module__}.{own.__name__}: {name} of {base.__name__}'
                for name in sorted(names)
                if name in vars(base) or f'self.{name} ' in text
            ]
    assert not found
