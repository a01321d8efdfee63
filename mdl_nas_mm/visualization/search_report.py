"""The report of a joint search: a page that needs nothing else, and its figures as PNGs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mdl_nas_mm.search import SearchResult
from mdl_nas_mm.search.scored import ScoredJoint
from mdl_nas_mm.spec import Owners
from mdl_nas_mm.utils.files import written_whole

from .chart import Chart
from .conflicts import beside_names, beside_shares
from .page import folded, page, short, table, task_cards, tile
from .search_figures import (
    column_names,
    plot_architectures,
    plot_front,
    plot_generations,
    plot_layers,
    plot_scores,
    task_score,
)
from .search_run import answers, facts, next_commands


def result_lines(
    result: SearchResult | ScoredJoint, folder: Path, conflicts: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Says what a search found, and writes its report; see ``write_report``.

    Args:
        result: of the search.
        folder: what it has written into.
        conflicts: see ``read_conflicts``.
    """
    report = json.loads((folder / 'report.json').read_text())
    if conflicts is not None:
        report['conflicts'] = conflicts
    yield f'S-Score {result.score:.2f}, {result.total:,} {report.get("unit", "parameters")}'
    for task, score in result.scores.items():
        yield f'{task}: {report["metrics"][task]} = {task_score(report, task, score)}'
    for path in (folder / 'joint_spec.json', *write_report(report, folder)):
        yield str(path)


def write_report(report: Mapping, folder: str | Path) -> list[Path]:
    """Writes what a search found for people to look at.

    Args:
        report: what a search leaves as ``report.json``: ``tasks``, ``metrics``, ``weights``,
            ``shown`` (task -> the unit in which its score is shown, where it is not percent),
            ``budget``, ``with_heads``, ``unit`` (of budget and totals, where they are no
            parameters), ``score`` (what said the scores of generations, where it were no
            evaluations), ``constraints`` (lines to read), ``pass_groups`` (lists of tasks that
            share a pass), ``chosen`` (``joint_spec``, ``s_score``, ``total``, ``scores``),
            ``generations``, ``random`` (None, or the generations of random search), ``front``
            (``total``, ``s_score``, ``scores``; ascending totals), ``layers`` and ``counts`` (see
            ``layer_counts``), ``evaluations``, ``saved_by_cache``, ``failed`` (``task``, ``spec``,
            ``reason``), ``seconds`` (None where that is not known), and perhaps ``conflicts``, what
            ``tools/conflicts.py`` has measured; ``run`` (``config``, ``checkpoint``, ``date``,
            ``command``, ``seed``, ``versions``); ``others`` (``total``, ``s_score`` of scored
            candidates); ``flops`` (task -> multiply-adds) and ``input_sizes`` (task -> height and
            width); ``answers`` (task -> pictures, from ``folder``).
        folder: made if it is not there.

    Returns:
        The files: ``report.html``, ``generations.png``, ``front.png``, ``scores.png``,
        ``architectures.png`` and ``layers.png``.
    """
    folder, tasks = Path(folder), report['tasks']
    generations, front = plot_generations(report), plot_front(report)
    charts = {
        'generations': generations,
        'front': front,
        'scores': plot_scores(report, tasks),
        'architectures': plot_architectures(report, tasks),
        'layers': plot_layers(report, tasks),
    }
    file = folder / 'report.html'
    with written_whole(file) as temporary:
        temporary.write_text(_page(report, folder, generations, front), encoding='utf-8')
    paths = [file]
    for name, chart in charts.items():
        paths.append(folder / f'{name}.png')
        chart.write_png(paths[-1])
    return paths


def _page(report: Mapping, folder: Path, generations: Chart, front: Chart) -> str:
    tasks = report['tasks']
    title = f'Joint search of {len(tasks)} tasks' if len(tasks) > 1 else 'Search of one task'
    per_task = 'Tasks have the same scale. Point at a part of a figure for its numbers.'
    sections = [
        f'<h1>{escape(title)}</h1>',
        *(f'<p class="quiet">{escape(line)}</p>' for line in _conditions(report)),
        f'<div class="cards tiles">{"".join(_tiles(report))}</div>',
        '<h2>Tasks</h2>',
        f'<div class="card">{_task_table(report)}{_size_bars(report["counts"])}</div>',
        '<h2>Search</h2>',
        '<div class="cards pair">'
        f'<div><h3>Score by generation</h3>{generations.to_svg("generations")}</div>'
        f'<div><h3>Size against score</h3>{front.to_svg("front")}</div></div>',
        '<h3>Each task along the front</h3>',
        task_cards(tasks, {task: plot_scores(report, [task]) for task in tasks}, 'scores'),
        *answers(report, folder),
        '<h2>Architectures</h2>',
        f'<p class="quiet">Of every block: {escape(_listed(column_names(report)))}. A stronger '
        f'colour is more. {per_task}</p>',
        task_cards(tasks, {task: plot_architectures(report, [task]) for task in tasks}, 'arch'),
        '<h2>Shared and specific parameters by layer</h2>',
        f'<p class="quiet">{escape(_bars_of_a_block(report))}What is outside of the blocks '
        f'and too small to be seen is in the tables below. {per_task}</p>',
        task_cards(tasks, {task: plot_layers(report, [task]) for task in tasks}, 'layers'),
        *_conflicts(report),
        *next_commands(report, folder),
        '<h2>All numbers</h2>',
        *facts(report),
        *_details(report),
    ]
    return page(title, sections)


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f'{", ".join(others)} and {last}' if others else last


def _bars_of_a_block(report: Mapping) -> str:
    """A sentence that says in which order bars are; empty where blocks have no roles."""
    layers = (layer for of_task in report['layers'].values() for layer in of_task)
    roles = list(dict.fromkeys(layer['role'] for layer in layers))
    named = [role for role in roles if role not in ('stem', 'norm')]
    if not named:
        return ''
    norms = ', each with the norm beside it' if 'norm' in roles else ''
    return f'The bars of a block, from above: {_listed(named)}{norms}. '


def _conditions(report: Mapping) -> list[str]:
    """What the search was bound to, in lines."""
    lines = [
        "S-Score: the sum of the tasks' scores, each times its weight; errors, shown in their own "
        'unit, take away what their scale makes of them.'
    ]
    if 'score' in report:
        lines.append(_estimated(report['score']))
    for group in report['pass_groups']:
        others = ', '.join(group[:-1])
        lines.append(
            f'{others} and {group[-1]} share a pass through the backbone: they have one '
            'architecture of it, and its operations and time count once.'
        )
    return lines + [f'Constraint: {line}' for line in report['constraints']]


def _estimated(score: Mapping) -> str:
    """What the scores of generations are, where they are no evaluations."""
    line = f'Scores of generations are those of {score["type"]}.'
    tasks = score.get('held_out', {}).items()
    numbers = [f'{task} {(of_task.get("kendall") or 0):.2f}' for task, of_task in tasks]
    return line + (f' Rank correlation (Kendall): {", ".join(numbers)}.' if numbers else '')


def _tiles(report: Mapping) -> Iterable[str]:
    chosen, counts, budget = report['chosen'], report['counts'], report['budget']
    yield tile('S-Score', f'{chosen["s_score"]:.2f}', _against_random(report))
    used = f'{chosen["total"] / budget:.1%} of the budget, {short(budget)}'
    if 'unit' not in report:
        used += '; with heads' if report['with_heads'] else '; backbones alone'
    yield tile(report.get('unit', 'parameters'), short(chosen['total']), used)
    if len(report['tasks']) > 1:
        saved = 1 - counts['total'] / counts['separate']
        files = (
            f'{short(counts["total"])} in one file, {short(counts["separate"])} in separate ones'
        )
        yield tile('saved by sharing', f'{saved:.1%}', files)
    note = f'{report["saved_by_cache"]:,} more spared by the cache'
    if report['failed']:
        note += f'; {len(report["failed"])} failed'
    yield tile('evaluations', f'{report["evaluations"]:,}', note)
    if report['seconds'] is not None:
        yield tile('time', duration(report['seconds']), 'of the search')


def _against_random(report: Mapping) -> str:
    if not report['random']:
        return 'of the chosen joint spec'
    last = report['random'][-1]
    return f'random search: {last["best"]:.2f} after {last["evaluations"]:,} evaluations'


def _task_table(report: Mapping) -> str:
    chosen, counts, rows = report['chosen'], report['counts'], []
    specs, labels = chosen['joint_spec'], report.get('labels', {})
    first = specs[report['tasks'][0]]['stages'][0]
    sizes = [key for key, value in first.items() if not isinstance(value, list)]
    for task in report['tasks']:
        stages = specs[task]['stages']
        shown = [' / '.join(str(stage[key]) for stage in stages) for key in sizes]
        head = sum(n for label, n in counts['heads'].items() if task in Owners.read(label))
        numbers = (f'{counts["specific"][task]:,}', f'{head:,}')
        score = task_score(report, task, chosen['scores'][task])
        operations = (_operations(report, task),) if report.get('flops') else ()
        weight = f'{report["weights"][task]:g}'
        rows.append((task, report['metrics'][task], score, weight, *shown, *numbers, *operations))
    names = [labels.get(key, key.replace('_', ' ')) for key in sizes]
    names = ['task', 'metric', 'score', 'weight', *names, 'own', 'neck and head']
    names += ['multiply-adds of the backbone'] if report.get('flops') else []
    return table(names, rows, texts=2)


def _operations(report: Mapping, task: str) -> str:
    """A task's multiply-adds, and of what size of images, where both are known."""
    counted, size = report['flops'].get(task), report.get('input_sizes', {}).get(task)
    if counted is None:
        return ''
    return short(counted) + (f' at {size[0]} x {size[1]}' if size else '')


def _size_bars(counts: Mapping) -> str:
    """Two bars to one scale: all tasks in one file, and a file for each."""
    pieces = [('shared by all tasks', counts['shared'], 'shared')]
    pieces += [(f'of {task} alone', size, 'specific') for task, size in counts['specific'].items()]
    pieces += [(f'head of {task}', size, 'random') for task, size in counts['heads'].items()]
    whole = max(counts['total'], counts['separate'])
    parts = ''.join(
        f'<i style="width: {100 * size / whole:.3f}%; background: var(--{colour})" '
        f'title="{escape(f"{name}: {size:,}")}"></i>'
        for name, size, colour in pieces
        if size
    )
    separate = (
        f'<i style="width: {100 * counts["separate"] / whole:.3f}%; background: var(--line)" '
        f'title="{counts["separate"]:,}"></i>'
    )
    keys = ' &nbsp; '.join(
        f'<i class="key" style="background: var(--{colour})"></i>{name}'
        for colour, name in (
            ('shared', f'shared {short(counts["shared"])}'),
            ('specific', f'of single tasks {short(sum(counts["specific"].values()))}'),
            ('random', f'necks and heads {short(sum(counts["heads"].values()))}'),
        )
    )
    return (
        f'<p class="quiet" style="margin-top: 1rem">One file, {counts["total"]:,} parameters: '
        f'{keys}</p><div class="bar">{parts}</div>'
        f'<p class="quiet">Separate models, {counts["separate"]:,} parameters</p>'
        f'<div class="bar">{separate}</div>'
    )


def _conflicts(report: Mapping) -> Iterable[str]:
    if 'conflicts' not in report:
        return
    rows, rho = beside_shares(report)
    found = (
        'there is none, since one of both is the same everywhere' if rho is None else f'{rho:+.2f}'
    )
    yield '<h2>Gradients of the tasks, and what is shared</h2>'
    yield (
        '<p class="quiet">Cosines of the tasks\' gradients of what they share, before the search, '
        'beside the part of each layer that the search has made them share. Rank correlation '
        f'(Spearman) over layers that may be shared in part: {found}. Above 0, less is '
        'shared where gradients disagree.</p>'
    )
    yield f'<div class="card">{table(beside_names(report), rows, texts=2)}</div>'


def _details(report: Mapping) -> Iterable[str]:
    tasks, front = report['tasks'], report['front']
    if report['failed']:
        rows = [(f['task'], f['reason'], json.dumps(f['spec'])) for f in report['failed']]
        yield folded('Failed evaluations', table(('task', 'reason', 'spec'), rows, texts=3))
    rows = [
        (f'{point["total"]:,}', f'{point["s_score"]:.2f}')
        + tuple(task_score(report, task, point['scores'][task]) for task in tasks)
        for point in front
    ]
    yield folded(f'Front, {len(front)} joint specs', table(('total', 'S-Score', *tasks), rows))
    names = ('generation', 'candidates', 'mean', 'best', 'total of the best', 'evaluations')
    for name, entries in (('search', report['generations']), ('random search', report['random'])):
        rows = [
            (
                entry['generation'] + 1,
                entry['candidates'],
                '-' if entry['mean'] is None else f'{entry["mean"]:.2f}',
                f'{entry["best"]:.2f}',
                f'{entry["total"]:,}',
                f'{entry["evaluations"]:,}',
            )
            for entry in entries or ()
        ]
        if rows:
            yield folded(f'Generations of the {name}', table(names, rows))
    for task in tasks:
        rows = [
            (layer['layer'], layer['role'], f'{layer["shared"]:,}', f'{layer["specific"]:,}')
            for layer in report['layers'][task]
        ]
        names = ('layer', 'role', 'shared', 'specific')
        yield folded(f'Layers of {task}', table(names, rows, texts=2))
    spec = json.dumps(report['chosen']['joint_spec'], indent=1)
    yield folded('Chosen joint spec', f'<pre>{escape(spec)}</pre>')


def duration(seconds: float) -> str:
    """``3 h 20 min``, ``20 min 5 s`` or ``5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'
