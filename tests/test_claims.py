"""The comparisons of ``benchmarks/claims.py`` may be run again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = ('all shared', 'both, sequential', 'both, sequential, from conflicts')


def rows_of(folder):
    """What the script leaves on disk: row -> its numbers, but for the seconds."""
    command = [sys.executable, 'benchmarks/claims.py', '--steps', '2', '--seeds', '3']
    command += ['--rows', *ROWS, '--work-dir', str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    found = {}
    for name in ROWS:
        found[name] = json.loads((folder / 'demo' / 'seed3' / f'{name}.json').read_text())
        found[name].pop('seconds')
    return found


@pytest.mark.slow
def test_a_row_that_is_run_again_has_the_same_digits(tmp_path):
    """With a training, a search, and a search from conflicts."""
    found = rows_of(tmp_path / 'once')
    assert found == rows_of(tmp_path / 'again')
    assert found['all shared'] != found['both, sequential']
    # Nothing is trained again where the rows are on disk.
    assert found == rows_of(tmp_path / 'once')


def report_of(folder):
    """The lines of the report of what is on disk."""
    command = [sys.executable, 'benchmarks/claims_report.py', str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_the_report_compares_rows_of_the_same_seed(tmp_path):
    """Seeds differ much, and a seed that one of two rows lacks says nothing of their difference."""
    of_rows = {'both, mask': {0: 101, 1: 203, 2: 500}, 'separate': {1: 200, 0: 100}}
    for name, by_seed in of_rows.items():
        for seed, s_score in by_seed.items():
            scores = dict(cls=s_score, det=0, seg=0)
            (tmp_path / f'seed{seed}').mkdir(exist_ok=True)
            row = dict(scores=scores, s_score=s_score, backbone=10, total=20, seed=seed)
            (tmp_path / f'seed{seed}' / f'{name}.json').write_text(json.dumps(row))
    expected = (
        '| the full method beats separate models | both, mask - separate | 2.00 ± 1.41 | 2 of 2 '
        '| +3.3 |'
    )
    assert expected in report_of(tmp_path)
    # Of other tasks the paper has no numbers.
    for path in tmp_path.glob('seed*/*.json'):
        path.write_text(path.read_text().replace('det', 'depth'))
    lines = report_of(tmp_path)
    assert expected.removesuffix(' +3.3 |') in lines
    assert not any('paper' in line for line in lines)


def test_the_report_says_whether_searches_share_less_where_gradients_disagree(tmp_path):
    """Cosines rise with what is shared in one seed, and fall in the other: 1 and -1."""
    scores = dict(scores=dict(a=1.0, b=2.0), s_score=3.0, backbone=10, total=20)
    for seed, sign in enumerate((1, -1)):
        folder = tmp_path / f'seed{seed}'
        search = folder / 'searches' / 'both, mask'
        search.mkdir(parents=True)
        (folder / 'both, mask.json').write_text(json.dumps(dict(scores, seed=seed)))
        names = [f'blocks.{i}.attn' for i in range(4)]
        layers = [
            dict(layer=name, role='attn', shared=2 + i, specific=8 - i)
            for i, name in enumerate(names)
        ]
        report = dict(tasks=['a', 'b'], layers=dict(a=layers, b=layers))
        (search / 'report.json').write_text(json.dumps(report))
        found = [
            dict(layer=name, role='attn', size={}, cosine={'a, b': dict(mean=sign * i, std=None)})
            for i, name in enumerate(names)
        ]
        conflicts = dict(tasks=['a', 'b'], steps=1, layers=found, whole=found[0])
        (folder / 'conflicts.json').write_text(json.dumps(conflicts))
    assert '| both, mask | 0.00 ± 1.41 | 2 |' in report_of(tmp_path)
