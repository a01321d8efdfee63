"""The pages of the documentation: what leads where, and tables that are made of the code."""

import dataclasses
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from documentation.pages import LINK, OUTSIDE, ROOT, SITE, anchors, files, pages, prose
from mmengine.config import Config

from mdl_nas_mm.engine.settings import check_settings
from mdl_nas_mm.registry import (
    BALANCERS,
    MODELS,
    STEPS,
    SUBNET_SAMPLERS,
    WEIGHT_INITIALIZERS,
)
from mdl_nas_mm.search import EvolutionSettings
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.upstream import upstream_config_path

links = importlib.import_module('links')
sources = importlib.import_module('sources')
tables = importlib.import_module('tables')
FILES = [*pages().values(), *(ROOT / 'docs').rglob('*.md'), *ROOT.glob('*.md')]


def test_navigation_names_every_page_once():
    named = list(links.titles(SITE['nav']))
    assert sorted(named) == sorted(set(named)) and set(named) == set(pages())


def test_every_readme_is_a_page():
    """Those of methods and configs lie beside what they are about."""
    found = {p.relative_to(ROOT).as_posix() for p in (ROOT / 'mdl_nas_mm').rglob('*.md')}
    found |= {p.relative_to(ROOT).as_posix() for p in (ROOT / 'configs').rglob('*.md')}
    assert {path for path in found if '.mim' not in path} <= set(OUTSIDE.values())


def test_one_page_leads_to_all_others():
    """README.md says so of it."""
    page = pages()['which_page.md']
    there = {(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text())}
    assert set(map(Path.resolve, pages().values())) - there == {page.resolve()}


def test_links_lead_to_files_and_headings():
    wrong = []
    for path in sorted(set(FILES)):
        for target, anchor in LINK.findall(prose(path.read_text())):
            there = (path.parent / target).resolve() if target else path
            if not there.exists():
                wrong.append(f'{path.relative_to(ROOT)}: {target}')
            elif anchor and anchor not in anchors(there.read_text()):
                wrong.append(f'{path.relative_to(ROOT)}: {target}{anchor}')
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('page', ['which_page.md', 'start_here.md'])
def test_site_links_to_pages_and_pictures_alone(page):
    text = links.on_site(pages()[page].read_text(), page, OUTSIDE, links.titles(SITE['nav']))
    for target, _ in LINK.findall(prose(text)):
        assert not target or target in pages() or (ROOT / 'docs' / target).is_file()


def test_configs_that_pages_name_are_there_without_an_installation():
    named = {
        name
        for path in FILES
        for name in re.findall(r"'(mdl_nas_mm::[^']*\w\.py)'", path.read_text())
    }
    assert len(named) > 5
    for name in named:
        assert upstream_config_path(name).is_file()


# depth_room.py needs the deposit of base_room.py.
@pytest.mark.parametrize(
    'page, names',
    [
        ('index.md', ('joint.py',)),
        ('scenes.md', ('rooms.py', 'rooms_search.py')),
        ('ecmt.md', ('slim_rooms.py',)),
        ('autotaskformer.md', ('tree_rooms.py',)),
        ('computation_sharing.md', ('base_room.py',)),
    ],
)
def test_configs_of_pages_are_whole(page, names, tmp_path):
    for name, content in files(pages()[page].read_text()).items():
        (tmp_path / name).write_text(content)
    for name in names:
        cfg = resolve_joint_config(Config.fromfile(tmp_path / name), check_files=False)
        check_settings(cfg)
        assert set(weightless(cfg.model).tasks) == set(cfg.tasks)


def test_link_of_a_page_that_lies_beside_the_code():
    text = 'See [a](../../../docs/scores.md#delta_t), [b.py](../step.py), [x.md](README.md).'
    (page,) = (p for p, path in OUTSIDE.items() if path == 'mdl_nas_mm/methods/ecmt/README.md')
    named = {page: 'The title'}
    said = links.on_site(text, page, OUTSIDE, named)
    assert said == 'See [a](../scores.md#delta_t), b.py, [The title](ecmt.md).'


def test_python_of_the_pages_imports_what_there_is():
    """In blocks of code, and dotted names within the text."""
    named = set()
    for page, path in pages().items():
        text = path.read_text()
        for module, names in re.findall(
            r'^ *from (mdl_nas_mm[\w.]*) import ([\w, ]+)$', text, re.M
        ):
            named |= {(page, module, name.strip()) for name in names.split(',')}
        for dotted in re.findall(r'`(mdl_nas_mm(?:\.\w+)+)\b', prose(text)):
            named.add((page, *dotted.rsplit('.', 1)))
    wrong = [(page, module, name) for page, module, name in named if not is_there(module, name)]
    assert not wrong and len(named) > 50, (wrong, len(named))


def is_there(module: str, name: str) -> bool:
    """Whether a dotted name is a module, something in one, or a model by its registered name."""
    if module == 'mdl_nas_mm' and name[0].isupper():
        return MODELS.get(name) is not None
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f'{module}.{name}') is not None


def test_pages_name_tables_that_there_are():
    filled = 0
    for path in (ROOT / 'docs' / 'reference').rglob('*.md'):
        text = path.read_text()
        filled += text.count('<!-- made of the code')
        assert '<!--' not in tables.filled(text), path
    assert filled > 20


@pytest.mark.parametrize(
    'registry', [SUBNET_SAMPLERS, STEPS, BALANCERS], ids=lambda registry: registry.name
)
def test_table_has_every_class_of_a_registry_with_its_arguments(registry):
    """As inspect sees them in the imported package."""
    registry.import_from_location()
    name = next(key for key, value in vars(registry_module()).items() if value is registry)
    said = {each.name: each for each in sources.registered(name)}
    ours = {key: value for key, value in registry.module_dict.items() if own(value)}
    assert set(said) == set(ours)
    for key, value in ours.items():
        there = [p for p in inspect.signature(value).parameters if p not in ('args', 'kwargs')]
        assert [argument.name for argument in said[key].arguments] == there


def test_class_is_shown_by_the_name_that_a_config_gives():
    shown = [each.name for each in sources.registered('WEIGHT_INITIALIZERS')]
    WEIGHT_INITIALIZERS.import_from_location()
    assert 'Deposited' in shown and set(shown) <= set(WEIGHT_INITIALIZERS.module_dict)


def test_table_says_of_an_argument_what_it_is_and_not_what_is_kept_under_its_name():
    said = {each.name: each.text for each in sources.described('SkeletonHeads').arguments}
    assert 'by default the first' in said['chosen']


def test_tables_say_what_other_classes_say_of_an_argument_and_not_where():
    text = tables.filled((ROOT / 'docs' / 'reference' / 'classes.md').read_text())
    assert 'keep weights and optimizer states that no subnet' in text
    assert not re.search(r'^\|.*\| see ``(SubnetSampler|Step|SharingKind|Balancer)``', text, re.M)


def test_tables_have_what_a_config_says_alone():
    for registry in ('SUBNET_SAMPLERS', 'STEPS', 'SEARCH_SCORES', 'SEARCH_COSTS'):
        assert not re.search(
            r'^\| `(spaces|evaluate|ledger)` \|', tables.classes_table(registry), re.M
        )


def test_backbones_are_told_of_once():
    assert 'ElasticFCNHead' in (text := tables.classes_table('MODELS'))
    assert 'ElasticViT' in tables.backbones_table() and 'ElasticViT' not in text


def test_table_of_a_backbone_has_every_argument_and_default():
    said = {each.name: each for each in sources.described('ElasticSwin').arguments}
    parameters = inspect.signature(MODELS.get('ElasticSwin')).parameters
    assert list(said) == list(parameters)
    for name, parameter in parameters.items():
        assert said[name].default == repr(parameter.default) and said[name].text


def test_table_of_a_dataclass():
    said = {each.name: each.default for each in sources.described('EvolutionSettings').arguments}
    assert said == {f.name: repr(f.default) for f in dataclasses.fields(EvolutionSettings)}


def test_docstring_of_several_names_and_lines():
    text = 'A.\n\nArgs:\n    a, b: one\n        more.\n    ``c``: two.\n\nReturns:\n    d: none.'
    assert sources.entries(text) == {'a': 'one more.', 'b': 'one more.', 'c': 'two.'}


def own(value) -> bool:
    return value.__module__.startswith('mdl_nas_mm.')


def registry_module():
    return importlib.import_module('mdl_nas_mm.registry')


def test_pins_are_exact():
    lines = (ROOT / 'requirements-docs.txt').read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith('#')]
    assert pins and all(re.fullmatch(r'[\w.-]+==[\w.]+', pin) for pin in pins)
