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
