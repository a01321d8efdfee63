"""The report of a search: complete, escaped, and in need of nothing from elsewhere."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from refusals import raises_naming
from reports import SWIN, VIT, make_report

from mdl_nas_mm.visualization.conflicts import beside_shares, read_conflicts
from mdl_nas_mm.visualization.page import short
from mdl_nas_mm.visualization.search_figures import plot_layers, plot_scores
from mdl_nas_mm.visualization.search_report import duration, write_report

FILES = ['report.html', 'generations.png', 'front.png', 'scores.png']
FILES += ['architectures.png', 'layers.png']
LONG = 'a <b>long</b> & "quoted" $name$ ' + 20 * 'x'
CASES = {
    'ViT': dict(tasks=('cls', 'det', 'seg'), layout=VIT),
    'Swin without random search': dict(tasks=('cls', 'det'), layout=SWIN, with_random=False),
    'one task, no front': dict(tasks=('cls',), layout=VIT, front=0),
    'twelve tasks': dict(tasks=[f'{LONG} {i}' for i in range(12)], layout=VIT),
}


class Page(HTMLParser):
    """A page's texts, and its elements, all of which have to be closed."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.elements, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ('meta', 'link'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return '\n'.join(self.texts)


@pytest.fixture(scope='module', params=CASES.values(), ids=CASES)
def written(request, tmp_path_factory):
    """A report, through JSON as a search leaves it, and the folder that it was written to."""
    report = json.loads(json.dumps(make_report(**request.param)))
    folder = tmp_path_factory.mktemp('report') / 'new'
    assert write_report(report, folder) == [folder / name for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    return report, folder


def test_the_page_says_what_was_found(written):
    report, folder = written
    text = Page((folder / 'report.html').read_text()).text
    chosen, counts = report['chosen'], report['counts']
    for task in report['tasks']:
        assert task in text
        assert f'{chosen["scores"][task]:.2f}' in text
        assert f'{counts["specific"][task]:,}' in text
        for layer in report['layers'][task]:
            assert f'{layer["layer"]}: {layer["shared"]:,} shared' in text or (
                layer['role'] == 'stem'
            )
    assert f'{chosen["s_score"]:.2f}' in text
    assert f'{counts["total"]:,}' in text and f'{counts["separate"]:,}' in text
    assert 'det: latency at most 40 ms' in text
    for point in report['front']:
        assert f'{point["total"]:,} parameters, S-Score {point["s_score"]:.2f}' in text
    assert ('random search' in text) == (report['random'] is not None)
    assert json.dumps(chosen['joint_spec'], indent=1) in text


def test_the_page_needs_nothing_from_elsewhere(written):
    _, folder = written
    page = Page((folder / 'report.html').read_text())
    assert not {'script', 'img', 'iframe', 'b>long'} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        for key in ('src', 'href', 'xlink:href'):
            assert attributes.get(key, '#')[:5] in ('data:', '#') or attributes[key][0] == '#'
    ids = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))


def test_references_within_figures_are_kept(written):
    _, folder = written
    text = (folder / 'report.html').read_text()
    ids = {attributes.get('id') for _, attributes in Page(text).elements}
    for figure in text.split('<svg')[1:]:
        figure = '<svg xmlns:xlink="http://www.w3.org/1999/xlink"' + figure.split('</svg>')[0]
        for element in ElementTree.fromstring(figure + '</svg>').iter():
            target = element.get('{http://www.w3.org/1999/xlink}href')
            assert target is None or target[1:] in ids


def test_no_light_colour_is_left_in_figures(written):
    _, folder = written
    figures = (folder / 'report.html').read_text().split('<svg')[1:]
    assert all('#' not in figure.split('</svg>')[0].replace('"#', '').replace('url(#', '')
               for figure in figures)  # fmt: skip


@pytest.mark.parametrize('name', FILES[1:])
def test_pictures_show_something(written, name):
    _, folder = written
    image = np.asarray(Image.open(folder / name).convert('L'))
    assert min(image.shape) > 150
    assert (image[0] == 255).all() and (image < 128).mean() > 0.001


def test_the_same_report_is_written_alike(tmp_path):
    report = make_report(**CASES['one task, no front'])
    write_report(report, tmp_path / 'a')
    write_report(report, tmp_path / 'b')
    for name in FILES:
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_failed_evaluations_are_named(tmp_path):
    report = make_report(('cls',), VIT)
    reason = 'accuracy/top1 is nan <i>'
    report['failed'] = [dict(task='cls', spec=report['chosen']['joint_spec']['cls'], reason=reason)]
    report['seconds'] = None
    write_report(report, tmp_path)
    page = Page((tmp_path / 'report.html').read_text())
    assert reason in page.texts and '460 more spared by the cache; 1 failed' in page.texts
    assert 'time' not in page.texts


def test_a_choice_without_a_search_before_it_is_drawn(tmp_path):
    """As for another budget, where the search was interrupted before it was complete."""
    report = make_report(('cls', 'det'), VIT, with_random=False)
    report['generations'], report['constraints'] = [], []
    write_report(report, tmp_path)
    assert 'Generations of the search' not in (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize(
    ('number', 'text'),
    [(7, '7'), (1234, '1.23 k'), (235_000_000, '235 M'), (53_456_789, '53.5 M')],
)
def test_short_counts(number, text):
    assert short(number) == text.replace(' ', '\N{NO-BREAK SPACE}')


def test_durations():
    assert [duration(s) for s in (4.6, 65, 7325)] == ['5 s', '1 min 5 s', '2 h 2 min']


def test_what_is_said_of_blocks_comes_from_the_report(tmp_path):
    """Of a family with other names than a transformer's."""
    report = make_report(('cls', 'det'), VIT)
    report['labels'] = dict(embed_dim='breadth <i>', num_heads='groups')
    for layers in report['layers'].values():
        for layer in layers:
            layer['layer'] = layer['layer'].replace('blocks.', 'trunk.unit')
            layer['role'] = layer['role'].replace('attn', 'mixing')
    write_report(report, tmp_path)
    text = Page((tmp_path / 'report.html').read_text(encoding='utf-8')).text
    assert 'breadth <i>, groups, ' in text and 'mixing and ffn' in text
    assert 'block unit0' in text and 'block unit1' in text


def test_a_generation_without_a_mean_is_drawn(tmp_path):
    """All of its new candidates have failed."""
    report = make_report(('cls', 'det'), VIT)
    report['generations'][2]['mean'] = None
    write_report(report, tmp_path)
    assert '<td>-</td>' in (tmp_path / 'report.html').read_text()


def test_a_figure_of_scores_says_which_way_is_better(tmp_path):
    """An error's scores are negative, and are shown in its own unit; predicted ones have none."""
    report = make_report(('depth', 'seg'), VIT)
    report['metrics'] = dict(depth='rmse', seg='mIoU')
    assert [axes.get_ylabel() for axes in plot_scores(report, ('depth', 'seg')).axes[:2]] == [
        '',
        '',
    ]
    report['shown'] = dict(depth=-1.0, seg=1.0)
    left, right = plot_scores(report, ('depth', 'seg')).axes[:2]
    assert (left.get_ylabel(), right.get_ylabel()) == ('rmse, less is better', 'mIoU')


def test_conflicts_beside_what_is_shared(tmp_path):
    """Cosines fall with the shared part of a layer, but of roles that are always shared: -1."""
    report = make_report(('cls', 'det'), VIT)
    shared = {}
    for task in report['tasks']:
        for layer in report['layers'][task]:
            part = layer['shared'] / (layer['shared'] + layer['specific'])
            shared.setdefault(layer['layer'], []).append((layer['role'], part))
    partly = {role for found in shared.values() for role, part in found if part < 1}
    assert partly < {role for found in shared.values() for role, _ in found}
    layers = []
    for name, found in shared.items():
        mean = -sum(part for _, part in found) / len(found) if found[0][0] in partly else 0.9
        number = dict(mean=mean, std=0.125, count=3)
        sizes = dict(cls=dict(mean=2.0, std=None, count=1))
        layers.append(dict(layer=name, role=found[0][0], cosine={'cls, det': number}, size=sizes))
    report['conflicts'] = dict(tasks=['cls', 'det'], steps=3, layers=layers, whole=layers[0])
    rows, rho = beside_shares(report)
    assert rho == pytest.approx(-1) and len(rows) == len(layers)
    write_report(report, tmp_path)
    text = Page((tmp_path / 'report.html').read_text(encoding='utf-8')).text
    assert '-1.00' in text and 'shared by det' in text and '± 0.125' in text


@pytest.mark.parametrize('content', ['[]', '{"tasks": ["a"]}', 'x'])
def test_a_file_of_something_else(tmp_path, content):
    path = tmp_path / 'other.json'
    path.write_text(content)
    with raises_naming(ValueError, 'other.json'):
        read_conflicts(str(path))


RUN = dict(
    config='configs/mine <b>.py',
    checkpoint='work_dirs/mine/iter_9.pth',
    date='2026-01-02 03:04:05',
    command='mdl-nas search configs/mine.py',
    seed=7,
    versions=dict(torch='2.0'),
)


def test_the_page_says_how_the_search_ran_and_what_is_next(tmp_path):
    report = make_report(('cls', 'det'), VIT)
    report |= dict(run=RUN, flops=dict(cls=4_200_000_000), input_sizes=dict(cls=[48, 64]))
    report['others'] = [dict(total=report['chosen']['total'], s_score=1.0)]
    write_report(report, tmp_path)
    text = Page((tmp_path / 'report.html').read_text()).text
    for said in (*map(str, list(RUN.values())[:-1]), '2.0', '4.2', 'at 48 x 64'):
        assert said in text
    assert f'mdl-nas test {RUN["config"]} {RUN["checkpoint"]}' in text
    assert str(tmp_path / 'joint_spec.json') in text


def test_answers_are_a_part_of_the_page(tmp_path):
    """Large ones are made smaller; tiny ones are shown a little larger, without loss."""
    report = make_report(('cls', 'det'), VIT)
    report['answers'] = dict(cls=['answers/cls_0.png', 'answers/gone.png'], det=['answers/det.png'])
    (tmp_path / 'answers').mkdir()
    for name, size in (('cls_0', (1300, 1)), ('det', (20, 20))):
        Image.new('RGB', size, (9, 99, 199)).save(tmp_path / 'answers' / f'{name}.png')
    write_report(report, tmp_path)
    page = Page((tmp_path / 'report.html').read_text())
    large, tiny = (attributes for tag, attributes in page.elements if tag == 'img')
    assert large['src'].startswith('data:image/jpeg;base64,')
    assert tiny['src'].startswith('data:image/png;base64,')
    assert tiny['style'] == 'max-width: 100px'


def test_generations_are_numbered_from_one(tmp_path):
    """As the log has them."""
    report = make_report(('cls',), VIT, with_random=False)
    write_report(report, tmp_path)
    text = (tmp_path / 'report.html').read_text()
    assert 'generation 6:' in text and 'generation 0:' not in text
    last = report['generations'][-1]
    assert (
        f'<td class="text">{len(report["generations"])}</td><td>{last["candidates"]}</td>' in text
    )


def test_a_norm_is_in_the_bar_of_the_layer_beside_it_in_its_block():
    """Of a family whose blocks begin with norms, and of one whose blocks end with them."""
    first = [('norm1', 'norm'), ('conv', 'conv'), ('norm2', 'norm'), ('fc', 'mlp')]
    last = [('conv', 'conv'), ('norm1', 'norm'), ('fc', 'mlp'), ('norm2', 'norm')]
    for order, beside in ((first, dict(conv='norm1', fc='norm2')), (last, {})):
        layers = [
            dict(layer=f'blocks.{i}.{name}', role=role, shared=10, specific=1)
            for i in range(2)
            for name, role in order
        ]
        tips = plot_layers(dict(layers=dict(a=layers)), ['a']).tips
        bars = {tuple(line.partition(':')[0] for line in tip.splitlines()) for tip in tips}
        assert {name for bar in bars for name in bar} == {layer['layer'] for layer in layers}
        assert all(len({name.rpartition('.')[0] for name in bar}) == 1 for bar in bars)
        for i in range(2):
            for layer, norm in beside.items():
                assert (f'blocks.{i}.{norm}', f'blocks.{i}.{layer}') in bars
