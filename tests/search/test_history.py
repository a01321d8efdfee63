"""The history survives kills, resumes searches to the same end, and refuses what is not its own."""

import json
import os
import random
import signal

import numpy as np
import pytest
from refusals import raises_naming
from search.conftest import find, smallest_of

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import Evaluations, EvolutionSettings, History, Outcome
from mdl_nas_mm.search.results import _supernet

TASKS = ('cls', 'det')
SETTINGS = EvolutionSettings(population=5, generations=4, parents=3, crossovers=2, mutations=2)
FINGERPRINT = dict(
    backbone=dict(type='ElasticViT'),
    space=[dict(embed_dim=(6, 8), depth=(1, 2, 3))],
    supernet='abc',
    tasks=TASKS,
)


class Stop(Exception):
    pass


class Evaluator:
    """Scores without meaning; stops instead of giving answer number ``stop``."""

    def __init__(self, stop=None):
        self.stop, self.calls = stop, []

    def __call__(self, specs):
        ((task, spec),) = specs.items()
        if len(self.calls) == self.stop:
            raise Stop
        self.calls.append((task, spec))
        # Scores as evaluators report them: 32-bit, with a long decimal form.
        score = np.float32(random.Random(f'{task} {spec}').random() * 100)
        if score < 10:
            return {task: Outcome(None, {}, 'it is too bad')}
        return {task: Outcome.of(score, dict(accuracy=score, count=np.int64(7)))}


def run(path, space, ledger, evaluator):
    """One search with its history."""
    history = History(path, FINGERPRINT)
    budget = int(smallest_of(space, ledger, TASKS)[1] * 1.5)
    score = Evaluations(evaluator, history)
    return find(space, TASKS, ledger, score, budget, SETTINGS, random.Random(0)), history


def test_resumed_search_ends_like_the_uninterrupted(tmp_path, space, make_ledger):
    """Stopped at every evaluation in turn, half of the times within writing the last line."""
    ledger = make_ledger(space, 'Sequential')
    whole = Evaluator()
    expected, history = run(tmp_path / 'whole.jsonl', space, ledger, whole)
    content = (tmp_path / 'whole.jsonl').read_bytes()
    assert len(whole.calls) == len(set(whole.calls)) == len(history) > 15
    assert 0 < len(history.failed()) < len(history) / 4
    for stop in range(len(whole.calls)):
        path = tmp_path / f'{stop}.jsonl'
        with pytest.raises(Stop):
            run(path, space, ledger, Evaluator(stop))
        cut = stop % 2 and stop > 1
        if cut:
            os.truncate(path, path.stat().st_size - 1 - 3 * stop % 40)
        rest = Evaluator()
        result, resumed = run(path, space, ledger, rest)
        assert result == expected
        assert path.read_bytes() == content
        assert rest.calls == whole.calls[stop - bool(cut) :]
        assert resumed.failed() == history.failed()


def test_finished_search_costs_nothing_again(tmp_path, space, make_ledger):
    ledger = make_ledger(space, 'Sequential')
    expected, _ = run(tmp_path / 'h.jsonl', space, ledger, Evaluator())
    result, history = run(tmp_path / 'h.jsonl', space, ledger, Evaluator(stop=0))
    assert result == expected
    assert len(history) == result.log[-1]['evaluations']


def some_specs(count):
    return [
        TRANSFORMER.read(dict(embed_dim=8, depth=1, num_heads=heads, mlp_ratio=2))
        for heads in range(1, count + 1)
    ]


def written(path, count=3):
    history = History(path, FINGERPRINT)
    for i, spec in enumerate(some_specs(count)):
        history.add('cls', spec, Outcome.of(i / 3, dict(top1=i)))
    return history


def test_what_is_only_read_is_left_as_it_is(tmp_path):
    """Somebody may be writing it: the end of its header, or of a line."""
    path = tmp_path / 'h.jsonl'
    written(path)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    for content, count in ((header[:-1], 0), (header, 0), (header + lines[0] + lines[1][:-9], 1)):
        path.write_bytes(content)
        assert len(History.read(path)) == count
        assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_every_evaluation_survives_a_kill(tmp_path):
    child = os.fork()
    if not child:
        try:
            written(tmp_path / 'h.jsonl', count=5)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert len(History(tmp_path / 'h.jsonl', FINGERPRINT)) == 5


def test_round_trip(tmp_path):
    first = written(tmp_path / 'new' / 'h.jsonl')
    second = History(tmp_path / 'new' / 'h.jsonl', FINGERPRINT)
    assert second.evaluations == first.evaluations
    assert list(second.evaluations) == list(first.evaluations)
    spec = some_specs(2)[1]
    assert second.evaluations['cls', spec] == Outcome(1 / 3, dict(top1=1.0))
    assert ('det', spec) not in second.evaluations
    assert History.read(second.path).evaluations == first.evaluations
    lines = [json.loads(line) for line in (tmp_path / 'new' / 'h.jsonl').read_text().splitlines()]
    assert lines[2] == dict(task='cls', spec=spec.to_dict(), score=1 / 3, metrics=dict(top1=1.0))


def test_metrics_that_are_no_numbers_are_left_out(tmp_path):
    history = History(tmp_path / 'h.jsonl', FINGERPRINT)
    metrics = dict(mIoU=np.float32(0.5), absent=float('nan'), classes=[1, 2], text='0.1 0.2')
    history.add('seg', some_specs(1)[0], Outcome.of(50, metrics))
    (again,) = History(tmp_path / 'h.jsonl', FINGERPRINT).evaluations.values()
    assert set(again.metrics) == {'mIoU', 'absent'}
    assert again.metrics['mIoU'] == 0.5


def test_cut_anywhere_it_loses_only_the_cut_line(tmp_path):
    path = tmp_path / 'h.jsonl'
    written(path)
    data = path.read_bytes()
    starts = [0, *(i + 1 for i, byte in enumerate(data) if byte == ord('\n'))]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        history = History(path, FINGERPRINT)
        kept = [start for start in starts if start <= length]
        assert len(history) == max(0, len(kept) - 2)
        assert path.read_bytes() == data[: max(starts[1], kept[-1])]


def test_adding_goes_on_after_a_cut(tmp_path):
    path = tmp_path / 'h.jsonl'
    written(path)
    data = path.read_bytes()
    os.truncate(path, len(data) - 5)
    history = History(path, FINGERPRINT)
    history.add('cls', some_specs(3)[2], Outcome.of(2 / 3, dict(top1=2)))
    assert path.read_bytes() == data


@pytest.mark.parametrize('damage', [b'garbage', b'', b'{"task": "cls"}', b'[1]', b'\x00\xff'])
def test_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / 'h.jsonl'
    written(path)
    lines = path.read_bytes().split(b'\n')
    lines[2] = damage
    path.write_bytes(b'\n'.join(lines))
    with raises_naming(ValueError, path, 'line 3'):
        History(path, FINGERPRINT)
    assert path.read_bytes() == b'\n'.join(lines)


@pytest.mark.parametrize('content', [b'a file of notes', b'notes\nof two lines\n', b'{}\n', b'3\n'])
def test_other_files_are_refused_and_kept(tmp_path, content):
    path = tmp_path / 'notes.txt'
    path.write_bytes(content)
    with raises_naming(ValueError, path, 'line 1'):
        History(path, FINGERPRINT)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(supernet='xyz'), ('supernet', "'abc'", "'xyz'")),
        (
            dict(space=[dict(embed_dim=(6, 10), depth=(1, 2, 3))]),
            ('space.0.embed_dim.1', 8, 10),
        ),
        (dict(space=[dict(embed_dim=(6, 8), depth=(1, 2))]), ('space.0.depth', [1, 2, 3])),
        (dict(space=[dict(embed_dim=(6, 8))]), ('space.0.depth',)),
        (dict(sharing='Mask'), ('sharing',)),
        (dict(tasks=None), ('tasks', ['cls', 'det'], None)),
    ],
)
def test_history_of_another_search_is_refused(tmp_path, changes, named):
    path = tmp_path / 'h.jsonl'
    written(path)
    data = path.read_bytes()
    with raises_naming(ValueError, path, *named):
        History(path, {**FINGERPRINT, **changes})
    assert path.read_bytes() == data


def test_a_score_is_written_once(tmp_path):
    path = tmp_path / 'h.jsonl'
    history = written(path)
    data = path.read_bytes()
    with raises_naming(ValueError, path, "'cls'", 'score'):
        history.add('cls', some_specs(1)[0], Outcome.of(1.0, {}))
    assert path.read_bytes() == data


@pytest.mark.parametrize('score', [float('nan'), np.float32('inf')])
def test_a_score_that_is_no_number_is_a_failure(tmp_path, score):
    history = written(tmp_path / 'h.jsonl')
    new = some_specs(4)[-1]
    history.add('cls', new, Outcome.of(score, dict(top1=score)))
    assert History.read(history.path).failed() == [('cls', new, f'its score is {float(score)}')]


def test_a_history_that_is_not_there(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / 'h.jsonl'):
        History.read(tmp_path / 'h.jsonl')
    assert not list(tmp_path.iterdir())


SPEC = '{"embed_dim": 8, "depth": 1, "num_heads": 1, "mlp_ratio": 2}'


@pytest.mark.parametrize(
    ('line', 'named'),
    [
        ('{"task": "cls", "spec": %s, "score": NaN, "metrics": {}}', ('NaN',)),
        ('{"task": "cls", "spec": %s, "score": "5", "metrics": {}}', ('score', "'5'")),
        ('{"task": "cls", "spec": %s, "score": true, "metrics": {}}', ('score', True)),
        ('{"task": "cls", "spec": %s, "score": 1e999, "metrics": {}}', ('1e999',)),
        ('{"task": "cls", "spec": %s, "score": 1, "metrics": {"a": []}}', ('a []',)),
        ('{"task": "cls", "spec": %s, "score": 1, "metrics": 3}', ("'int'",)),
        ('{"task": ["cls"], "spec": %s, "score": 1, "metrics": {}}', ("['cls']",)),
        ('{"task": "cls", "task": "det", "spec": %s}', ("'task'",)),
        ('{"task": "cls", "spec": {"stages": 5}}', ("'stages'",)),
        ('{"task": "cls", "spec": %s}', ('depth', 1000000000)),
        ('{"task": "cls", "spec": %s, "x": "' + 'x' * 2**24 + '"}', ('16,777,216 bytes',)),
    ],
    ids=range(11),
)
def test_strict_lines(tmp_path, line, named):
    path = tmp_path / 'h.jsonl'
    written(path)
    spec = SPEC.replace('1', '1000000000', 1) if 'depth' in named else SPEC
    with open(path, 'a') as file:
        file.write(line.replace('%s', spec) + '\n')
    with raises_naming(ValueError, f'history {path}, line 5', *named) as caught:
        History.read(path)
    assert len(str(caught.value)) < 400


def test_a_history_names_no_other_class(tmp_path):
    """What it says of the backbone is built, to count parameters with."""
    with raises_naming(ValueError, 'backbone', "'os.system'"):
        _supernet(dict(backbone=dict(type='os.system', command='ls')), tmp_path)
