"""Tables and a picture of the rows that ``claims.py`` has on disk, however many there are.

python benchmarks/claims_report.py work_dirs/claims/demo [--write docs/claims_demo.md]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from claims import ROWS
from trainings import shown

from mdl_nas_mm.visualization.conflicts import beside_shares

# The paper's rows that ours are beside, for MDL-NAS-B (Tables 4 to 6): classification, detection,
# segmentation; parameters of the backbones, of separate models and the full method with heads;
# S-Score. Fig. 2 shows its rows without numbers.
PAPER = {
    'separate': '83.0 / 48.4 / 46.2, 293M, 177.6 (mask), '
    '83.1 / 48.3 / 46.4, 311M, 177.8 (sequential) (supplement, Table 5; 3x)',
    'all shared': '82.9 / 43.9 / 49.6, 55M, 176.4 (Tables 5, 6)',
    'specific norms': 'Fig. 2, not printed',
    'specific attention': 'Fig. 2, not printed',
    'specific feed-forward': 'Fig. 2, not printed',
    'all specific': '83.2 / 45.6 / 48.9, 165M, 177.7 (Table 6)',
    'sizes (AB2, S)': '82.9 / 44.6 / 49.8, 53M, 177.3 (Table 5)',
    'sizes (AB2, D)': '82.8 / 45.0 / 49.8, 55M, 177.6 (Table 5)',
    'mask ratios (AB3, S)': '83.0 / 46.9 / 49.9, 117M, 179.8 (Table 6)',
    'mask ratios (AB3, D)': '83.0 / 47.0 / 50.0, 117M, 180.0 (Table 6)',
    'sequential ratios (AB3, S)': '83.0 / 46.5 / 49.7, 100M, 179.2 (Table 6)',
    'sequential ratios (AB3, D)': '82.9 / 46.6 / 49.8, 101M, 179.3 (Table 6)',
    'both, mask': '82.6 / 48.2 / 50.1, 235M, 180.9 (Table 4; 3x)',
    'both, sequential': '82.9 / 48.0 / 50.8, 256M, 181.7 (Table 4; 3x)',
    'ratios 0 or 1 (AB4)': '83.0 / 46.3 / 49.6, 117M, 178.9 (supplement, Table 4)',
}
# What is claimed, the row that is to be ahead, the one that it is compared with, and by how much it
# is ahead in the paper, where that has both (MDL-NAS-B, Tables 4 to 6; supplement, Tables 4 and 5,
# the last of which trains the architectures of each policy separately).
CLAIMS = [
    ('sharing a part of every layer beats sharing all', 'mask ratios (AB3, D)', 'all shared', 3.6),
    ('', 'sequential ratios (AB3, D)', 'all shared', 2.9),
    ('it beats sharing nothing', 'mask ratios (AB3, D)', 'all specific', 2.3),
    ('', 'sequential ratios (AB3, D)', 'all specific', 1.6),
    ('searching sizes helps', 'sizes (AB2, D)', 'all shared', 1.2),
    ('searching sizes and ratios beats ratios alone', 'both, mask', 'mask ratios (AB3, D)', None),
    ('', 'both, sequential', 'sequential ratios (AB3, D)', None),
    ('the full method beats separate models', 'both, mask', 'separate', 3.3),
    ('', 'both, sequential', 'separate', 3.9),
    ('one architecture a task beats one for all', 'sizes (AB2, D)', 'sizes (AB2, S)', 0.3),
    ('', 'mask ratios (AB3, D)', 'mask ratios (AB3, S)', 0.2),
    ('', 'sequential ratios (AB3, D)', 'sequential ratios (AB3, S)', 0.1),
    ('sharing inside layers beats whole ones', 'both, sequential', 'ratios 0 or 1 (AB4)', 0.5),
    ('evolution beats chance', 'both, sequential', 'both, sequential, at random', None),
    (
        'a start from conflicts helps the search',
        'both, sequential, from conflicts',
        'both, sequential',
        None,
    ),
    ('conflicts say what to share', 'ratios from conflicts', 'all shared', None),
]
NUMBERS = dict(s_score='S-Score', backbone='backbones (M)', total='with heads (M)')
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def rows_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Row -> what each seed gave, as far as it is on disk; every row is there."""
    seeds = sorted(folder.glob('seed*'))
    paths = {name: [seed / f'{name}.json' for seed in seeds] for name in ROWS}
    return {
        name: [json.loads(path.read_text()) for path in own if path.is_file()]
        for name, own in paths.items()
    }


def tasks_of(rows: Rows) -> list[str]:
    """The names that the rows' scores have."""
    return list(next(found for found in rows.values() if found)[0]['scores'])


def of_paper(rows: Rows) -> bool:
    """Whether the tasks are those of the paper, whose numbers may stand beside."""
    return tasks_of(rows) == ['cls', 'det', 'seg']


def table(rows: Rows) -> str:
    """The rows as markdown: mean and deviation over seeds."""
    tasks = tasks_of(rows)
    names = ('', *tasks, *NUMBERS.values(), 'seeds')
    names += ('the paper',) * of_paper(rows)
    lines = [f'| {" | ".join(names)} |', '|---' * len(names) + '|']
    for name, found in rows.items():
        scores = [[each['scores'][task] for each in found] for task in tasks]
        # Of metres and the like the third decimal counts.
        columns = [shown(own, 2 if max(own, default=0) > 10 else 3) for own in scores]
        for key in NUMBERS:
            scale = 1 if key == 's_score' else 1e-6
            columns.append(shown([each[key] * scale for each in found]))
        cells = (name, *columns, str(len(found)))
        cells += (PAPER.get(name, '-'),) * of_paper(rows)
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def claims(rows: Rows) -> str:
    """Markdown: differences of rows of the same seed, which have much in common, by claim."""
    lines = ['| claim | rows | ahead by | in seeds |', '|---|---|---|---|']
    if of_paper(rows):
        lines = [f'{lines[0]} the paper |', f'{lines[1]}---|']
    named, said = '', ''
    for claim, row, other, gain in CLAIMS:
        # A claim of several comparisons is said once, before the first that there is.
        named = claim or named
        score, others = ({each['seed']: each['s_score'] for each in rows[r]} for r in (row, other))
        ahead = [score[seed] - others[seed] for seed in score if seed in others]
        if ahead:
            holds = f'{sum(each > 0 for each in ahead)} of {len(ahead)}'
            first, said = '' if named == said else named, named
            line = f'| {first} | {row} - {other} | {shown(ahead)} | {holds} |'
            paper = '-' if gain is None else f'{gain:+.1f}'
            lines.append(f'{line} {paper} |' if of_paper(rows) else line)
    return '\n'.join(lines)


def agreement(folder: Path) -> str:
    """Markdown: whether searches share less where gradients disagree, of seeds with conflicts."""
    found: dict[str, list[float]] = {}
    for path in sorted(folder.glob('seed*/conflicts.json')):
        conflicts = json.loads(path.read_text())
        for name in ROWS:
            report = path.parent / 'searches' / name / 'report.json'
            if report.is_file():
                shown_in = dict(json.loads(report.read_text()), conflicts=conflicts)
                _, correlation = beside_shares(shown_in)
                if correlation is not None:
                    found.setdefault(name, []).append(correlation)
    lines = ['| searched | rank correlation of cosines and shared parts | seeds |', '|---|---|---|']
    lines += [f'| {name} | {shown(values)} | {len(values)} |' for name, values in found.items()]
    return '\n'.join(lines) if found else ''


def draw(rows: Rows, path: Path) -> None:
    """Parameters of the backbones against the S-Score, with deviations where there are any."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), constrained_layout=True)
    markers, places = 'osD^v<>P', {}
    for i, (name, found) in enumerate(rows.items()):
        if not found:
            continue
        score, size = ([each[key] for each in found] for key in ('s_score', 'backbone'))
        several = len(found) > 1
        places[i + 1] = at = statistics.fmean(size) / 1e6, statistics.fmean(score)
        axes.errorbar(
            *at,
            yerr=statistics.stdev(score) if several else None,
            xerr=statistics.stdev(size) / 1e6 if several else None,
            fmt=markers[i // 10],
            color=f'C{i % 10}',
            capsize=3,
            label=f'{i + 1} {name} ({len(found)})',
        )
    axes.set(xlabel='parameters of the backbones (M)', ylabel='S-Score')
    axes.legend(fontsize=7, loc='center left', bbox_to_anchor=(1, 0.5), title='row (seeds)')
    figure.canvas.draw()
    pixels = axes.transData.transform(list(places.values()))
    for numbers in _close(dict(zip(places, pixels))):
        text, at = ', '.join(map(str, numbers)), places[numbers[0]]
        axes.annotate(text, at, xytext=(4, 4), textcoords='offset points', fontsize=8)
    figure.savefig(path, dpi=100)


def _close(pixels: Mapping[int, Sequence[float]]) -> list[list[int]]:
    """The numbers of points, (x, y) in pixels, those together that would lie on each other."""
    groups: list[list[int]] = []
    for number, (x, y) in pixels.items():
        for group in groups:
            left, below = pixels[group[0]]
            if abs(x - left) < 16 and abs(y - below) < 10:
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='of a domain, in the work directory of claims.py')
    parser.add_argument('--write', type=Path, help='markdown file for the table')
    parser.add_argument('--picture', type=Path, help='PNG file for the picture')
    parser.add_argument('--rows', type=Path, help='JSON file for all rows of all seeds')
    args = parser.parse_args()
    rows = rows_in(args.folder)
    if not any(rows.values()):
        raise SystemExit(f'{args.folder}: no row is on disk yet; run claims.py first')
    text = '\n\n'.join(filter(None, (table(rows), claims(rows), agreement(args.folder))))
    print(text)
    if args.write:
        args.write.write_text(f'{text}\n')
    if args.picture:
        draw(rows, args.picture)
    if args.rows:
        args.rows.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
