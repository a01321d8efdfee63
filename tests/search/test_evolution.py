"""The evolution finds known optima under a budget, stays within it, and repeats itself."""

import random
from itertools import product

import pytest
from refusals import raises_naming
from search.conftest import each, find, smallest_of

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import EvolutionSettings, ExactSelection, ParameterCost, search
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec

TASKS = ('cls', 'det')
SMALL = EvolutionSettings(population=12, generations=5, parents=4, crossovers=5, mutations=5)


def likeness(spec, target) -> float:
    """100 for the target, less for every choice that differs."""
    (stage,), (wanted,) = spec.stages, target.stages
    score = 100.0 - 5 * (stage.embed_dim != wanted.embed_dim)
    score -= 5 * abs(len(stage.blocks) - len(wanted.blocks))
    for block, other in zip(stage.blocks, wanted.blocks, strict=False):
        score -= 2 * (block.num_heads != other.num_heads) + (block.mlp_ratio != other.mlp_ratio)
        score -= abs(block.attn_share_ratio - other.attn_share_ratio)
    return score


class Scorer:
    """Likeness to a target a task; remembers what it was asked."""

    def __init__(self, targets: JointSpec) -> None:
        self.targets, self.calls = targets, []

    def __call__(self, pairs):
        self.calls += pairs
        return [likeness(spec, self.targets[task]) for task, spec in pairs]


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_finds_the_optimum_that_just_fits(space, make_ledger, seed):
    """Each budget is exactly the size of the one joint spec of 467,856 that scores best."""
    ledger, rng = make_ledger(space, 'Sequential', heads=dict(det=50)), random.Random(seed)
    targets = JointSpec({task: space.sample(rng) for task in TASKS})
    budget = ledger.count(targets).total
    settings = EvolutionSettings(population=40, generations=50, crossovers=20, mutations=20)
    result = find(space, TASKS, ledger, Scorer(targets), budget, settings, rng)
    assert result.best == targets
    assert result.score == 200
    assert result.scores == dict(cls=100, det=100)
    assert result.total == budget


@pytest.mark.parametrize(
    'sharing',
    ['AllShared', 'AllSpecific', 'Sequential', 'Mask', dict(norm='Mask', ffn='Sequential')],
)
def test_equals_trying_everything(make_ledger, sharing):
    """The better scores lie beyond the budget, which decides between the tasks."""
    space = SearchSpace.from_config(
        dict(embed_dim=(6, 8), depth=1, num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=(0, 0.5)),
        TRANSFORMER,
    )
    ledger = make_ledger(space, sharing)
    rng = random.Random(0)
    specs = []
    while len(specs) < 16:
        spec = space.sample(rng)
        if spec not in specs:
            specs.append(spec)
    # Larger is better, with some noise, so that no two scores are equal.
    values = {(t, s): ledger.params(s) / 10 + 5 * rng.random() for t in TASKS for s in specs}
    weights = dict(cls=2.0)
    every = []
    for pair in product(specs, repeat=2):
        joint = JointSpec(dict(zip(TASKS, pair, strict=True)))
        score = 2 * values['cls', pair[0]] + values['det', pair[1]]
        every.append((score, ledger.count(joint).total))
    least, most = (extreme(total for _, total in every) for extreme in (min, max))
    settings = EvolutionSettings(population=20, generations=10, crossovers=8, mutations=8)
    for share in (0.0, 0.3, 0.6):
        budget = int(least + share * (most - least))
        result = find(
            space,
            TASKS,
            ledger,
            each(lambda task, spec: values[task, spec]),
            budget,
            settings,
            random.Random(1),
            weights,
        )
        best = max((score for score, total in every if total <= budget))
        assert result.score == pytest.approx(best)
        assert result.total <= budget


@pytest.mark.parametrize('with_heads', [True, False])
@pytest.mark.parametrize('slack', [0, 1, 20, 100])
def test_every_candidate_is_new_in_the_space_and_fits(
    space, make_ledger, proposed, slack, with_heads
):
    ledger = make_ledger(space, 'Sequential', heads=dict(cls=1000, det=500))
    _, least = smallest_of(space, ledger, TASKS, with_heads)
    log = []
    result = find(
        space,
        TASKS,
        ledger,
        each(lambda _, spec: ledger.params(spec) / 10),
        least + slack,
        SMALL,
        random.Random(0),
        with_heads=with_heads,
        on_generation=log.append,
    )
    name = 'total' if with_heads else 'backbone_total'
    for joint in proposed:
        space.check_joint(joint, TASKS)
        assert getattr(ledger.count(joint), name) <= least + slack
    assert len(proposed) == len(set(proposed)) == sum(entry['candidates'] for entry in log)
    assert getattr(ledger.count(result.best), name) == result.total
    assert log == result.log


def test_it_starts_from_what_it_is_given(space, make_ledger):
    """The joint spec itself, where it fits, and its neighbours; so it is never worse."""
    ledger = make_ledger(space, 'Sequential')
    target = JointSpec({task: space.sample(random.Random(7)) for task in TASKS})
    budget, first = ledger.count(target).total, []
    for start in ([], [target]):
        scorer = Scorer(target)
        settings = EvolutionSettings(12, 1, 4, 5, 5)
        result = find(space, TASKS, ledger, scorer, budget, settings, random.Random(0), start=start)
        first.append((result, scorer.calls))
    (random_one, _), (started, calls) = first
    assert started.best == target and started.score == 200 > random_one.score
    assert calls[0] == ('cls', target['cls']) and len(calls) > len(TASKS)
    large = JointSpec(dict.fromkeys(TASKS, space.largest()))
    given = (Scorer(target), budget, SMALL, random.Random(0))
    result = find(space, TASKS, ledger, *given, start=[large])
    assert result.total <= budget and large not in result.candidates


def test_each_pair_is_scored_once(space, make_ledger):
    ledger, rng = make_ledger(space, 'Sequential'), random.Random(0)
    scorer = Scorer(JointSpec({task: space.sample(rng) for task in TASKS}))
    result = find(space, TASKS, ledger, scorer, 10**9, SMALL, rng)
    assert len(scorer.calls) == len(set(scorer.calls)) == result.log[-1]['evaluations']
    assert sum(entry['candidates'] for entry in result.log) == 12 * 5


def test_the_log_only_rises_and_ends_at_the_result(space, make_ledger):
    ledger, rng = make_ledger(space, 'Mask'), random.Random(0)
    scorer = Scorer(JointSpec({task: space.sample(rng) for task in TASKS}))
    result = find(space, TASKS, ledger, scorer, 10**9, SMALL, rng)
    best = [entry['best'] for entry in result.log]
    assert best == sorted(best)
    assert (result.log[-1]['best'], result.log[-1]['total']) == (result.score, result.total)
    assert [entry['generation'] for entry in result.log] == list(range(5))
    assert all(entry['mean'] <= entry['best'] for entry in result.log)


def test_the_log_counts_what_was_scored_and_what_failed(space, make_ledger, proposed):
    """The mean is that of the candidates without a failure; what had a score is spared."""
    ledger, seen, asked = make_ledger(space, 'Sequential'), set(), 0
    failed = {task: (task, heads) for task, heads in (('cls', 1), ('det', 2))}

    def value(task, spec):
        heads = spec.stages[0].blocks[0].num_heads
        return None if failed[task] == (task, heads) else ledger.params(spec) / 10

    weights = dict(cls=1.0, det=3.0)
    args = (each(value), 10**9, SMALL, random.Random(0), weights)
    log, left = find(space, TASKS, ledger, *args).log, list(proposed)
    for entry in log:
        new, left = left[: entry['candidates']], left[entry['candidates'] :]
        values = [{task: value(task, spec) for task, spec in joint.items()} for joint in new]
        scores = [
            sum(weights[t] * v for t, v in own.items())
            for own in values
            if None not in own.values()
        ]
        assert 0 < len(scores) < len(new)
        assert entry['mean'] == pytest.approx(sum(scores) / len(scores))
        seen.update(pair for joint in new for pair in joint.items())
        asked += len(new) * len(TASKS)
        assert (entry['evaluations'], entry['spared']) == (len(seen), asked - len(seen))
    assert not left and log[-1]['spared'] > 0


def test_same_seed_same_run(space, make_ledger):
    ledger = make_ledger(space, 'Sequential')
    targets = JointSpec({task: space.sample(random.Random(9)) for task in TASKS})
    budget = ledger.count(targets).total

    def run(seed):
        scorer = Scorer(targets)
        result = find(space, TASKS, ledger, scorer, budget, SMALL, random.Random(seed))
        return result, scorer.calls

    assert run(3) == run(3)
    assert run(3)[1] != run(4)[1]


def test_same_run_whatever_the_hashes(space, make_ledger, monkeypatch):
    """Hashes differ between processes, so the order of a set must not decide anything."""

    def run():
        scorer = Scorer(JointSpec({task: space.sample(random.Random(9)) for task in TASKS}))
        ledger = make_ledger(space, 'Sequential')
        result = find(space, TASKS, ledger, scorer, 10**9, SMALL, random.Random(0))
        # No dicts, which look for what was put in with other hashes.
        return list(result.best.items()), result.log, result.total, scorer.calls

    expected = run()
    for kind in (JointSpec, SubnetSpec):
        usual = kind.__hash__
        monkeypatch.setattr(kind, '__hash__', lambda value, usual=usual: usual(value) * 7919 % 1013)
    assert run() == expected


def test_ends_early_where_nothing_new_fits(space, make_ledger):
    ledger = make_ledger(space, 'Sequential')
    scorer = Scorer(JointSpec({task: space.largest() for task in TASKS}))
    smallest, least = smallest_of(space, ledger, TASKS)
    result = find(space, TASKS, ledger, scorer, least, SMALL, random.Random(0))
    assert result.total == least
    # Blocks that count alike at another ratio can stand beside the smallest, but no other.
    assert len(result.log) < SMALL.generations
    assert sum(entry['candidates'] for entry in result.log) < SMALL.population


def test_space_of_one_architecture(make_ledger, space):
    only = SearchSpace.fixed(space.largest(), TRANSFORMER)
    ledger = make_ledger(only, 'Sequential')
    result = find(only, TASKS, ledger, each(lambda *_: 1.0), 10**9, SMALL, random.Random(0))
    assert result.best == JointSpec(dict.fromkeys(TASKS, space.largest()))
    assert [entry['candidates'] for entry in result.log] == [1]


def test_weights_decide_between_tasks(make_ledger):
    """Only one task can be large; the weight says which."""
    space = SearchSpace.from_config(
        dict(embed_dim=8, depth=(1, 4), num_heads=3, mlp_ratio=2), TRANSFORMER
    )
    ledger = make_ledger(space, 'AllSpecific')
    one = JointSpec(dict(cls=space.largest(), det=space.smallest()))
    budget = ledger.count(one).total
    for weights, winner in ((dict(cls=2), 'cls'), (dict(det=1.5), 'det')):
        result = find(
            space,
            TASKS,
            ledger,
            each(lambda _, s: s.depth),
            budget,
            SMALL,
            random.Random(0),
            weights,
        )
        assert result.scores[winner] == 4
        assert result.score == sum(weights.get(t, 1) * result.scores[t] for t in TASKS)


def test_of_equal_scores_the_smallest_wins(space, make_ledger):
    ledger = make_ledger(space, 'Sequential')
    totals = []

    def evaluate(_, spec):
        totals.append(ledger.count(JointSpec(dict(cls=spec))).total)
        return 1.0

    result = find(space, ('cls',), ledger, each(evaluate), 10**9, SMALL, random.Random(0))
    assert result.total == min(totals)


def refuse(*_):
    raise AssertionError('evaluated before the refusal')


def test_budget_below_the_smallest_total_is_refused(space, make_ledger):
    ledger = make_ledger(space, 'Mask', heads=dict(cls=100_000))
    _, least = smallest_of(space, ledger, TASKS)
    with raises_naming(ValueError, 'budget', f'{least - 1:,}', f'{least:,}'):
        find(space, TASKS, ledger, refuse, least - 1, SMALL, random.Random(0))
    find(space, TASKS, ledger, each(lambda *_: 0.0), least, SMALL, random.Random(0))


@pytest.mark.parametrize('weights', [dict(cls=1), dict(cls=1, det=1, seg=1)])
def test_weights_of_other_tasks_are_refused(space, make_ledger, weights):
    cost = ParameterCost(make_ledger(space, 'Sequential'))
    selection = ExactSelection(cost, weights)
    args = (cost, refuse, selection, 10**9, SMALL, random.Random(0))
    with raises_naming(ValueError, sorted(weights)):
        search(dict.fromkeys(TASKS, space), *args)


def test_space_beyond_the_ledgers_is_refused(space, make_ledger):
    ledger = make_ledger(space, 'Sequential')
    config = dict(embed_dim=8, depth=2, num_heads=(1, 4), mlp_ratio=2, share_ratio=0.5)
    with raises_naming(ValueError, 'ledger', 'num_heads', 4):
        other = SearchSpace.from_config(config, TRANSFORMER)
        find(other, TASKS, ledger, refuse, 10**9, SMALL, random.Random(0))
    part = SearchSpace.from_config(dict(config, num_heads=(1, 3)), TRANSFORMER)
    result = find(part, TASKS, ledger, each(lambda *_: 0.0), 10**9, SMALL, random.Random(0))
    part.check_joint(result.best, TASKS)


def test_failed_evaluations_are_passed_over(space, make_ledger):
    """Every second architecture of one task fails; what is found is the best of the others."""
    ledger, asked = make_ledger(space, 'Sequential'), []

    def evaluate(task, spec):
        asked.append((task, spec))
        if task == 'det' and spec.depth == 2:
            return None
        return ledger.params(spec) / 10

    result = find(space, TASKS, ledger, each(evaluate), 10**9, SMALL, random.Random(0))
    assert len(asked) == len(set(asked)) == result.log[-1]['evaluations']
    assert {spec.depth for task, spec in asked if task == 'det'} == {1, 2}
    assert all(spec.depth == 1 for spec in result.scored['det'])
    assert {spec.depth for spec in result.scored['cls']} == {1, 2}
    for task in TASKS:
        assert result.scores[task] == max(result.scored[task].values())


def test_a_search_in_which_all_fails_stops_after_a_generation(space, make_ledger):
    ledger, asked = make_ledger(space, 'Sequential'), []
    with raises_naming(ValueError, 'candidate', 'failed'):
        find(
            space,
            TASKS,
            ledger,
            lambda pairs: asked.extend(pairs) or [None] * len(pairs),
            10**9,
            SMALL,
            random.Random(0),
        )
    assert len(asked) <= SMALL.population * len(TASKS)


def test_tasks_keep_limits_of_their_own(space, make_ledger, proposed):
    """With a budget that makes repairs necessary as well."""
    ledger = make_ledger(space, 'Sequential')
    budget = smallest_of(space, ledger, TASKS)[1] + 100
    values = each(lambda _, spec: ledger.params(spec) / 10)
    for slack in (100, 10**9):
        find(
            space,
            TASKS,
            ledger,
            values,
            budget + slack,
            SMALL,
            random.Random(0),
            allow=lambda task, spec: task != 'det' or spec.depth == 1,
        )
    assert {joint['det'].depth for joint in proposed} == {1}
    assert {joint['cls'].depth for joint in proposed} == {1, 2}


@pytest.mark.parametrize('most', [1, 2, 7, 30])
def test_random_search_ends_after_so_many_evaluations(space, make_ledger, most):
    ledger, asked = make_ledger(space, 'Sequential'), []
    args = (lambda pairs: asked.extend(pairs) or [1.0] * len(pairs), 10**9, SMALL.at_random(most))
    if most == 1:
        with raises_naming(ValueError, 'max_evaluations', 1):
            find(space, TASKS, ledger, *args, random.Random(0))
        return
    result = find(space, TASKS, ledger, *args, random.Random(0))
    assert most - 1 <= len(asked) == result.log[-1]['evaluations'] <= most


def test_the_best_is_found_among_what_was_never_proposed_together(space, make_ledger, proposed):
    """One generation of few candidates: the best of each task stand in different ones."""
    ledger, settings = make_ledger(space, 'Sequential'), EvolutionSettings(6, 1, 1, 0, 0)
    values = random.Random(1)
    result = find(
        space, TASKS, ledger, each(lambda *_: values.random()), 10**9, settings, random.Random(2)
    )
    assert result.best not in proposed
    assert result.scores == {task: max(result.scored[task].values()) for task in TASKS}


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(population=0), ('population', 0)),
        (dict(population='50'), ('population', "'50'")),
        (dict(generations=2.5), ('generations', 2.5)),
        (dict(crossovers=2.5), ('crossovers', 2.5)),
        (dict(max_evaluations='many'), ('max_evaluations', "'many'")),
        (dict(block_prob='0.1'), ('block_prob', "'0.1'")),
        (dict(generations=0), ('generations', 0)),
        (dict(parents=-1), ('parents', -1)),
        (dict(crossovers=-1), ('crossovers', -1)),
        (dict(mutations=-2), ('mutations', -2)),
        (dict(block_prob=1.1), ('block_prob', 1.1)),
        (dict(stage_prob=-0.1), ('stage_prob', -0.1)),
        (dict(max_evaluations=0), ('max_evaluations', 0)),
        (dict(crossovers=30), ('crossovers', 30, 'mutations', 25, 'population', 50)),
    ],
)
def test_bad_settings_are_refused(changes, named):
    with raises_naming(ValueError, *named):
        EvolutionSettings(**changes)
